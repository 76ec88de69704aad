"""The transmitter's end of a run: it answers the receiver, and concludes each round.

It believes nothing that the receiver said before the receiver's tag is verified, and delivers only what it concluded.
"""

from collections.abc import Callable
from dataclasses import replace

from keyhop.core.errors import PeerError
from keyhop.link.bb84.devices import TransmitterDevice
from keyhop.link.bb84.protocol.messages import Alive, Announcement, Answer, Begin, Body, Final, Open, Tag
from keyhop.link.bb84.protocol.round_rules import Outcome
from keyhop.link.bb84.protocol.run import Run
from keyhop.link.bb84.protocol.session import Parts, Session
from keyhop.link.bb84.protocol.transmitter_round import TransmitterRound
from keyhop.link.bb84.sifting.sides import TransmitterSifting

SEED_BYTES = 16
MAX_WAITING_ROUNDS = 4
MAX_WAITING_BITS = 16_000_000
"""A receiver may pile up full rounds of either size; an honest one stops earlier."""


class TransmitterSession(Session):
    """`received` takes bodies; what is to be done gathers in `commands`, what takes long in `work`."""

    def __init__(self, run: Run, parts: Parts, device: TransmitterDevice) -> None:
        self._sifting = TransmitterSifting(parts.options.block_bits, len(parts.options.source.intensities))
        super().__init__(run, parts, self._sifting)
        self.work: list[Callable[[], None]] = []
        self._device = device
        self._round: TransmitterRound | None = None
        device.begin(run.id)

    def received(self, body: Body) -> None:
        """Raises PeerError and LinkError: then the run is over."""
        match body:
            case Alive(dark=dark):
                self.say(Alive())
                self.light(dark=dark)
                self.watch()
            case Announcement():
                self._sift(body)
            case Open():
                self._open(body)
            case Tag():
                self._believe(body)
            case _:
                self._in_round(body)
        self._begin_round()

    def _sift(self, announced: Announcement) -> None:
        waiting = self._sifting.rounds_waiting
        if waiting > MAX_WAITING_ROUNDS and waiting * self._parts.options.block_bits > MAX_WAITING_BITS:
            raise PeerError("the far end announces detections without end")
        self.say(Answer(self._sifting.detections(announced.data, announced.part, self._device.states)))
        self.watch()

    def _open(self, asked: Open) -> None:
        if self.run.key is not None:
            raise PeerError("the far end opens what is open")
        key = self.set_aside(asked.name)
        self._parts.statistics.tag_keys_used += 1
        receipt = self.run.open(key)
        self.run.confirm(asked.receipt)
        self.say(Open(asked.name, receipt))

    def _begin_round(self) -> None:
        if self._round is not None or not self.run.confirmed:
            return
        sifted = self._sifting.take_round()
        if sifted is None:
            return
        seed = self._parts.entropy.token(SEED_BYTES)
        reconciliation = self.reconciliation("reference", sifted, seed)
        self._round = TransmitterRound(sifted, reconciliation, self._parts.options, self._parts.entropy)
        self.say(Begin(sifted.number, seed), *self._round.start())

    def _in_round(self, body: Body) -> None:
        round_ = self._round
        if round_ is None or getattr(body, "round", None) != round_.number:
            raise PeerError(f"the far end says {type(body).__name__} when it is not due")
        self.say(*round_.received(body))
        if round_.discarded:
            self._round = None
            self.discard()
        elif round_.barren:
            self._round = None
            final, outcome = round_.conclude(0, 0)
            self.say(final)
            self.finish(outcome)

    def _believe(self, tag: Tag) -> None:
        round_ = self._round
        if round_ is None or not round_.awaits_tag:
            raise PeerError("the far end shows a tag when none is due")
        self.run.verify(tag)
        final, outcome = round_.conclude(self._pool.wanted_bytes(), self.next_sequence())
        self.say(final)
        self.say(self.run.seal())
        self.close_stretch()
        self._round = None
        # The receiver need not wait until this end has hashed its own key.
        self.work.append(lambda: self._finish(round_, final, outcome))

    def _finish(self, round_: TransmitterRound, final: Final, outcome: Outcome) -> None:
        key = round_.key(final) if final.key_bits else b""
        self.finish(replace(outcome, key=key))
