"""One end of a BB84 link without I/O: greeting, run, and what to do when a run ends.

    greeting  →  run  →  greeting  →  run ...

A run ends when something in it goes wrong (see `run`), when the far end begins anew or falls silent, or when a key is
in use for too long. Then this end takes a new nonce and greets again, after a while that grows with the failures in a
row. Calls come one at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from keyhop.core.errors import KeyhopError, LinkError, PeerError
from keyhop.core.ids import LinkId
from keyhop.link.adapter import LinkState
from keyhop.link.bb84.devices import TransmitterDevice
from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.protocol.commands import Command, Report, Send
from keyhop.link.bb84.protocol.greeting import Greeting
from keyhop.link.bb84.protocol.messages import Bye, Hello, Piece, decode, encode
from keyhop.link.bb84.protocol.receiver import ReceiverSession
from keyhop.link.bb84.protocol.run import Interrupted, Run
from keyhop.link.bb84.protocol.session import LineUnfit, Parts, reason_of
from keyhop.link.bb84.protocol.transmitter import TransmitterSession

HELLO_S = 0.5
HELLO_TO_THE_STOPPED_S = 2.0
UNFIT_S = 2.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
LASTING = ("light quality", "light", "suspicion", "yield", "tampering", "interference", "failure")
"""Kinds of failure that a new run alone does not end."""

PATIENCE_S = 5.0
BITS_PER_SECOND_OF_PATIENCE = 2e6
"""The far end says nothing while it computes, and needs longer for larger rounds."""

LONGEST_STRETCH_S = 900.0
"""How long a key may be in use, beside the patience for its last round: whoever repeats or makes up messages must not
keep a run of old alive. Only rounds that yield nothing need so long."""

TELLING_QBER = 0.05
"""By how much an error rate over the limit must change to be told again: what is told is logged."""

OBJECTION_S = 1.0
"""Greetings cost nothing: those that differ in their objections change the state no more often."""


@dataclass(frozen=True, slots=True)
class View:
    """What the shell needs to know after each call. `run` is the ID of the run under way, `wants` whether it takes
    detections now, `qber` what was measured when the link stopped for errors."""

    state: LinkState
    reason: str | None
    run: bytes | None = None
    wants: bool = False
    details: dict[str, float | int | str] = field(default_factory=dict)
    qber: float | None = None


class Engine:
    """`device` is the transmitter's; the receiver is told of its detections. `after` as in `LinkEnd`."""

    def __init__(self, link: LinkId, parts: Parts, device: TransmitterDevice | None, after: int) -> None:
        self._link = link
        self._parts = parts
        self._device = device
        self._after = after
        self._patience_s = PATIENCE_S + parts.options.block_bits / BITS_PER_SECOND_OF_PATIENCE
        self._session: TransmitterSession | ReceiverSession | None = None
        self._failures = 0
        self._told_qber = 0.0
        self._objected_s = float("-inf")
        self._commands: list[Command] = []
        self._greet(self._now())

    @property
    def view(self) -> View:
        """This end as it is now."""
        condition, session = self._parts.condition, self._session
        details = self._parts.statistics.details() | {
            "method": self._parts.options.method,
            "tag_keys_left": len(self._parts.pool.names()),
            "epsilon_secrecy": self._parts.options.epsilon_secrecy,
            "epsilon_correctness": self._parts.options.epsilon_correctness,
        }
        wants = isinstance(session, ReceiverSession) and session.wants_detections
        run = session.run.id if session else None
        return View(condition.state, condition.reason, run, wants, details, condition.qber)

    @property
    def has_work(self) -> bool:
        """Whether `work` is to be called before anything else."""
        return isinstance(self._session, TransmitterSession) and bool(self._session.work)

    def work(self) -> list[Command]:
        """What takes long and need not keep the far end waiting."""
        session = self._session
        assert isinstance(session, TransmitterSession)
        work = session.work.pop(0)
        return self._guarded(work)

    def received(self, message: bytes) -> list[Command]:
        """A message of the far end, whatever is in it."""
        return self._guarded(lambda: self._receive(message))

    def detected(self, run: bytes, detections: Detections) -> list[Command]:
        """What the receiver's device saw in a run; ignored when that is over."""
        session = self._session
        if not isinstance(session, ReceiverSession) or session.run.id != run:
            return []
        return self._guarded(lambda: session.detected(detections))

    def tick(self) -> list[Command]:
        """Some time has passed: a few times a second."""
        return self._guarded(self._tick)

    def farewell(self) -> bytes:
        """What to say when this end is stopped."""
        return encode(Bye(self._greeting.near.nonce))

    def _guarded(self, step: Callable[[], None]) -> list[Command]:
        try:
            step()
        except KeyhopError as failure:
            self._abandon(failure)
        self._gather()
        self._commands += [Report(event) for event in self._parts.condition.events()]
        commands, self._commands = self._commands, []
        return commands

    def _gather(self) -> None:
        if self._session is not None:
            self._commands += self._session.commands
            self._session.commands = []

    def _receive(self, message: bytes) -> None:
        try:
            arrived = decode(message)
        except PeerError:
            if self._session is None:
                return  # there is nothing that it could spoil
            raise
        now_s = self._now()
        if isinstance(arrived, Hello):
            self._hello(arrived, now_s)
        elif isinstance(arrived, Bye):
            self._bye(arrived, now_s)
        elif isinstance(arrived, Piece) and self._session is not None and arrived.run == self._session.run.id:
            self._piece(self._session, arrived, message, now_s)

    def _piece(self, session: TransmitterSession | ReceiverSession, piece: Piece, message: bytes, now_s: float) -> None:
        pieces = session.run.heard
        body = session.run.hear(piece, message)
        if session.run.heard > pieces:
            self._heard_s = now_s
        if body is None:
            return
        before = session.sealed_rounds
        session.received(body)
        if session.sealed_rounds > before:
            self._failures = 0
            self._parts.lost_keys.none_lost()

    def _hello(self, far: Hello, now_s: float) -> None:
        session = self._session
        if session is not None:
            if far.nonce == session.run.far.nonce or (far.echo and far.echo != self._greeting.near.nonce):
                if far.echo != self._greeting.near.nonce:
                    self._say_hello(now_s)
                return
            self._end_run()
            self._greet(now_s)
        if now_s < self._silent_until_s:
            return
        self._meet(far, now_s)

    def _meet(self, far: Hello, now_s: float) -> None:
        objection = self._greeting.objection(far)
        if objection is not None:
            if now_s - self._objected_s >= OBJECTION_S:
                self._objected_s = now_s
                self._parts.condition.stopped(objection, objection)
            return
        run = self._greeting.meet(self._link, far)
        self._say_hello(now_s)
        if run is not None:
            self._begin(run, now_s)

    def _begin(self, run: Run, now_s: float) -> None:
        self._heard_s = now_s
        self._parts.statistics.runs += 1
        condition = self._parts.condition
        if condition.state != "stopped" or condition.kind not in LASTING:
            condition.starting("looking at the light")
        if self._device is None:
            self._session = ReceiverSession(run, self._parts)
        else:
            self._session = TransmitterSession(run, self._parts, self._device)

    def _bye(self, bye: Bye, now_s: float) -> None:
        far = self._session.run.far if self._session else self._greeting.heard
        if far is None or bye.nonce != far.nonce:
            return
        self._parts.condition.stopped("away", "the far end was stopped")
        self._end_run()
        self._greet(now_s)
        self._hello_every_s = HELLO_TO_THE_STOPPED_S

    def _tick(self) -> None:
        now_s, session = self._now(), self._session
        if session is None:
            if now_s >= max(self._silent_until_s, self._next_hello_s):
                self._say_hello(now_s)
            return
        if now_s - self._heard_s > self._patience_s:
            raise Interrupted("the far end does not answer")
        if session.key_in_use and now_s - session.opened_s > LONGEST_STRETCH_S + self._patience_s:
            self._renew(now_s)
            return
        if isinstance(session, ReceiverSession):
            session.tick()

    def _renew(self, now_s: float) -> None:
        """A key was in use for too long. Where rounds come and yield nothing that is nobody's failure."""
        if self._parts.condition.kind != "yield":
            raise Interrupted("nothing was authenticated for long: the conversation begins anew")
        self._gather()
        self._session = None
        self._greet(now_s)

    def _abandon(self, failure: KeyhopError) -> None:
        """Ends the run. Everything of its rounds is forgotten."""
        self._failures += 1
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._failures - 1))
        reason, condition = reason_of(failure), self._parts.condition
        if isinstance(failure, LineUnfit):
            if condition.kind != "light quality" or abs(failure.qber - self._told_qber) > TELLING_QBER:
                self._told_qber = failure.qber
                condition.stopped("light quality", reason, alarm=True, needs_key=True, refresh=True, qber=failure.qber)
            pause_s = UNFIT_S
        elif isinstance(failure, PeerError):
            condition.stopped("tampering", reason, alarm=True, needs_key=True)
        elif isinstance(failure, Interrupted):
            condition.stopped("away", reason)
        elif isinstance(failure, LinkError):
            condition.stopped("failure", reason, alarm=True, needs_key=True)
        else:
            raise failure
        self._end_run()
        self._greet(self._now() + pause_s)

    def _end_run(self) -> None:
        """Everything of its rounds is forgotten. A key that was in use is lost."""
        self._gather()
        session, self._session = self._session, None
        if session is None or not session.key_in_use:
            return
        suspicion = self._parts.lost_keys.lost(self._now())
        if suspicion is not None:
            self._parts.condition.stopped("interference", suspicion, alarm=True, needs_key=True)

    def _greet(self, from_s: float) -> None:
        """A new attempt, which begins at that time."""
        parts = self._parts
        self._greeting = Greeting.new(parts.options, parts.pool, self._after, parts.entropy)
        if self._device is not None:
            # Only the transmitter knows of keys that were lost for want of the receiver's last word.
            from_s = max(from_s, parts.lost_keys.not_before_s)
        self._silent_until_s = self._next_hello_s = from_s
        self._hello_every_s = HELLO_S
        self._heard_s = from_s

    def _say_hello(self, now_s: float) -> None:
        self._commands.append(Send(self._greeting.hello()))
        self._next_hello_s = now_s + self._hello_every_s

    def _now(self) -> float:
        return self._parts.clock.monotonic()
