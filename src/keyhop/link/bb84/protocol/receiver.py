"""The receiver's end of a run: it announces its detections, corrects its bits, and asks for authentication keys.

A key is asked for only when the line looks fit, so that an eavesdropper who stays cannot use them up; or when so much
was said without one that no more can wait.
"""

from keyhop.core.errors import PeerError
from keyhop.link.bb84.authentication.transcripts import MAX_STRETCH_BYTES
from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.protocol import line_health
from keyhop.link.bb84.protocol.messages import Alive, Announcement, Answer, Begin, Body, Open, Tag
from keyhop.link.bb84.protocol.receiver_round import ReceiverRound
from keyhop.link.bb84.protocol.run import Interrupted, Run
from keyhop.link.bb84.protocol.session import Parts, Session
from keyhop.link.bb84.sifting.sides import ReceiverSifting

MAX_UNANSWERED = 8
MAX_WAITING_ROUNDS = 2
"""Full rounds beyond the one that is corrected: then detections are not taken any more."""

LONGEST_STRETCH_BYTES = MAX_STRETCH_BYTES // 2
"""Rounds that yield nothing are not sealed, as a seal costs a key; but not for ever."""

MIN_ROOM_BYTES = 1 << 20
ALIVE_S = 0.5


class ReceiverSession(Session):
    """`received` takes bodies and `detected` detections; what is to be done gathers in `commands`."""

    def __init__(self, run: Run, parts: Parts) -> None:
        super().__init__(run, parts)
        self._sifting = ReceiverSifting(parts.options.block_bits, len(parts.options.source.intensities))
        self._round: ReceiverRound | None = None
        self._said_s = parts.clock.monotonic()
        self._level = line_health.LightLevel(line_health.WINDOW_S * parts.options.source.clock_hz)
        self._was_dark = False

    @property
    def wants_detections(self) -> bool:
        """Whether this end, the far end and the channel keep up."""
        return (
            self._sifting.unanswered < MAX_UNANSWERED
            and self._sifting.rounds_waiting < MAX_WAITING_ROUNDS
            and self.run.room_bytes >= MIN_ROOM_BYTES
        )

    def detected(self, detections: Detections) -> None:
        """Announces them. Raises LinkError."""
        self._level.add(detections.end_slot - detections.first_slot, len(detections.slots))
        if self._level.dark != self._was_dark:
            self._was_dark = self._level.dark
            self.light(dark=self._was_dark)
            self.say(Alive(dark=self._was_dark))
        for data in self._sifting.announce(detections):
            self.say(Announcement(data))
            self._said_s = self._parts.clock.monotonic()

    def tick(self) -> None:
        """Shows that this end is there, so that silence means something."""
        now_s = self._parts.clock.monotonic()
        if now_s - self._said_s >= ALIVE_S:
            self._said_s = now_s
            self.say(Alive(dark=self._was_dark))

    def received(self, body: Body) -> None:
        """Raises PeerError and LinkError: then the run is over."""
        match body:
            case Alive():
                self.watch(self._sifting.recent_x, self._sifting.sifted_bits)
            case Answer(data=data):
                self._sifting.sifted(data)
                self.watch(self._sifting.recent_x, self._sifting.sifted_bits)
            case Open():
                self._confirm(body)
            case Begin():
                self._begin_round(body)
            case Tag():
                self._believe(body)
            case _:
                self._in_round(body)
        self._open()

    def _open(self) -> None:
        """Asks for the key of the next stretch."""
        fit = line_health.is_fine(self._sifting.recent_x, self._parts.options.max_qber)
        if self.run.key is not None or not (
            fit or self._sifting.rounds_waiting or self.run.room_bytes < MIN_ROOM_BYTES
        ):
            return
        key = self.set_aside(self._pool.next_name())
        self._parts.statistics.tag_keys_used += 1
        self.say(Open(key.name, self.run.open(key)))

    def _confirm(self, answer: Open) -> None:
        if self.run.key is None or self.run.confirmed or answer.name != self.run.key.name:
            raise PeerError("the far end opens what was not asked for")
        self.run.confirm(answer.receipt)

    def _begin_round(self, begin: Begin) -> None:
        sifted = self._sifting.take_round() if self._round is None and self.run.confirmed else None
        if sifted is None or sifted.number != begin.round:
            raise PeerError("the far end begins a round that there is not")
        reconciliation = self.reconciliation("correcting", sifted, begin.seed)
        self._round = ReceiverRound(sifted, reconciliation, self._parts.options)
        self.say(*self._round.start())

    def _in_round(self, body: Body) -> None:
        round_ = self._round
        if round_ is None or getattr(body, "round", None) != round_.number:
            raise PeerError(f"the far end says {type(body).__name__} when it is not due")
        self.say(*round_.received(body))
        if round_.discarded:
            self._round = None
            self.discard()
        elif round_.final is not None and round_.barren:
            self._round = None
            self.finish(round_.conclude(self.next_sequence()))
            if self.run.stretch_bytes > LONGEST_STRETCH_BYTES:
                raise Interrupted("after many rounds without a key the conversation begins anew")
        elif round_.counted and not round_.barren:
            self.say(self.run.seal())

    def _believe(self, tag: Tag) -> None:
        round_ = self._round
        if round_ is None or round_.final is None or round_.barren:
            raise PeerError("the far end shows a tag when none is due")
        self.run.verify(tag)
        self.close_stretch()
        self._round = None
        self.finish(round_.conclude(self.next_sequence()))
