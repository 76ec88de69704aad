"""The receiver's end of a run: it announces its detections, corrects its bits, and asks for authentication keys.

Detections in the dark belong to no round. When the light is gone what gathered is thrown away, and when it is back
this end looks at a sample first, as at the beginning of a run: on the number of clicks alone, which tell no basis.

A key is asked for only when a round waits for it, which none does while the line is not fit, so that an eavesdropper
who stays cannot use them up; or when so much was said without one that no more can wait. Whoever breaks off
conversations costs a key each time, if he finds the moment: so the more were lost in a row, the longer this end waits.
"""

from keyhop.core.errors import PeerError
from keyhop.link.bb84.authentication.transcripts import MAX_STRETCH_BYTES
from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.protocol import line_health
from keyhop.link.bb84.protocol.messages import Alive, Announcement, Answer, Begin, Body, Done, Open, Tag
from keyhop.link.bb84.protocol.receiver_round import ReceiverRound
from keyhop.link.bb84.protocol.run import Interrupted, Run
from keyhop.link.bb84.protocol.session import Parts, Session, due
from keyhop.link.bb84.sifting.collecting import Collecting
from keyhop.link.bb84.sifting.rounds import ByBasis
from keyhop.link.bb84.sifting.sides import ReceiverSifting

MAX_UNANSWERED = 8
MAX_WAITING_ROUNDS = 1
"""Full rounds beyond the one that is corrected: then no more is announced."""

MAX_COMPLETE = 2
"""Collections beyond these: then detections are not taken any more."""

LONGEST_STRETCH_BYTES = MAX_STRETCH_BYTES // 2
"""Rounds that yield nothing are not sealed, as a seal costs a key; but not for ever."""

MIN_ROOM_BYTES = 1 << 20
ALIVE_S = 0.5


class ReceiverSession(Session):
    """`received` takes bodies and `detected` detections; what is to be done gathers in `commands`."""

    def __init__(self, run: Run, parts: Parts) -> None:
        options = parts.options
        self._collecting = Collecting(
            options.block_bits, options.source.z_probability, options.detectors.z_probability, line_health.ENOUGH_EVENTS
        )
        self._sifting = ReceiverSifting(options.block_bits, len(options.source.intensities), self._collecting)
        super().__init__(run, parts, self._sifting)
        self._round: ReceiverRound | None = None
        self._said_s = parts.clock.monotonic()
        self._was_dark = False
        parts.light.new_run()

    @property
    def wants_detections(self) -> bool:
        """Whether this end, the far end and the channel keep up."""
        return self._collecting.complete < MAX_COMPLETE

    def detected(self, detections: Detections) -> None:
        """Holds them until they may be announced. Raises LinkError."""
        light = self._parts.light
        light.add(detections.end_slot - detections.first_slot, len(detections.slots))
        if light.dark != self._was_dark:
            self._was_dark = light.dark
            self.light(dark=self._was_dark)
            self._collecting.sample_again()
            self.say(Alive(dark=self._was_dark))
        if not light.only_noise:
            self._sifting.detected(detections)
        self._announce()

    def _announce(self) -> None:
        """As much as may go unanswered."""
        while (
            self._sifting.unanswered < MAX_UNANSWERED
            and self._sifting.rounds_waiting < MAX_WAITING_ROUNDS
            and self.run.room_bytes >= MIN_ROOM_BYTES
            and (next_ := self._sifting.announce()) is not None
        ):
            self.say(Announcement(*next_))
            self._said_s = self._parts.clock.monotonic()

    def tick(self) -> None:
        """Shows that this end is there, so that silence means something. Raises LinkError."""
        self._open()
        now_s = self._parts.clock.monotonic()
        if now_s - self._said_s >= ALIVE_S:
            self._said_s = now_s
            self.say(Alive(dark=self._was_dark))

    def received(self, body: Body) -> None:
        """Raises PeerError and LinkError: then the run is over."""
        match body:
            case Alive():
                self.watch()
            case Answer(data=data):
                self._sifting.sifted(data)
                self.watch()
            case Open():
                self._confirm(body)
            case Begin():
                self._begin_round(body)
            case Tag():
                self._believe(body)
            case _:
                self._in_round(body)
        self._open()
        self._announce()

    def _open(self) -> None:
        """Asks for the key of the next stretch."""
        due = self._sifting.rounds_waiting or self.run.room_bytes < MIN_ROOM_BYTES
        too_early = self._parts.clock.monotonic() < self._parts.lost_keys.not_before_s
        if self.run.key is not None or not due or too_early:
            return
        key = self.set_aside(self._pool.next_name())
        self.say(Open(key.name, self.run.open(key)))

    def fell_short(self, detections: ByBasis) -> None:
        super().fell_short(detections)
        in_z = detections.z_matching + detections.z_other
        if in_z:
            self._collecting.expect(detections.z_matching / in_z)
        self._end_long_stretch()

    def _end_long_stretch(self) -> None:
        if self.run.stretch_bytes > LONGEST_STRETCH_BYTES:
            raise Interrupted("after many rounds without a key the conversation begins anew")

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
        round_ = due(body, self._round)
        self.say(*round_.received(body))
        if round_.discarded:
            self._round = None
            self.discard()
        elif round_.final is not None and round_.barren:
            self._round = None
            self.finish(round_.conclude(self.next_sequence()))
            self._end_long_stretch()
        elif round_.counted and not round_.barren:
            self.say(self.run.seal())

    def _believe(self, tag: Tag) -> None:
        round_ = self._round
        if round_ is None or round_.final is None or round_.barren:
            raise PeerError("the far end shows a tag when none is due")
        key = self.run.key
        self.run.verify(tag)
        assert key is not None
        outcome = round_.conclude(self.next_sequence())
        self.close_stretch()
        self._round = None
        self.sealed_rounds += 1
        self.finish(outcome)
        # After what was to be remembered: the transmitter delivers only what this end has.
        self.say(Done(outcome.number, key.proof.reveal()))
