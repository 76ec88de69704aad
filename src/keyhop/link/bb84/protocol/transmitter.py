"""The transmitter's end of a run: it answers the receiver, and concludes each round.

It believes nothing that the receiver said before the receiver's tag is verified. That tag says nothing of what the
receiver heard, on which its answers depend: so what a round yields is held back until the receiver has proved that it
verified this end's tag as well.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from keyhop.core.errors import PeerError
from keyhop.link.bb84.authentication.tag_keys import TagKey
from keyhop.link.bb84.devices import TransmitterDevice
from keyhop.link.bb84.optics.pulses import PulseStates
from keyhop.link.bb84.protocol.messages import Alive, Announcement, Answer, Begin, Body, Done, Final, Open, Tag
from keyhop.link.bb84.protocol.round_rules import Outcome
from keyhop.link.bb84.protocol.run import Run
from keyhop.link.bb84.protocol.session import Parts, Session, due
from keyhop.link.bb84.protocol.transmitter_round import TransmitterRound
from keyhop.link.bb84.sifting.sides import TransmitterSifting

SEED_BYTES = 16
MAX_WAITING_ROUNDS = 4
MAX_WAITING_BITS = 16_000_000
"""A receiver may pile up full rounds of either size; an honest one stops earlier."""

CLOCK_TOLERANCE_S = 1.0
"""How much earlier the receiver may have begun with the run."""

CLOCK_DRIFT = 1e-4
"""How much faster the receiver's clock may go."""


class TransmitterSession(Session):
    """`received` takes bodies; what is to be done gathers in `commands`, what takes long in `work`."""

    def __init__(self, run: Run, parts: Parts, device: TransmitterDevice) -> None:
        self._sifting = TransmitterSifting(parts.options.block_bits, len(parts.options.source.intensities))
        super().__init__(run, parts, self._sifting)
        self.work: list[Callable[[], None]] = []
        self._device = device
        self._round: TransmitterRound | None = None
        self._held: Outcome | None = None
        self._awaits_proof: TagKey | None = None
        self._began_s = parts.clock.monotonic()
        device.begin(run.id)

    @property
    def key_in_use(self) -> bool:
        """Until the receiver has proved that it has what the key authenticated."""
        return super().key_in_use or self._awaits_proof is not None

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
            case Done():
                self._done(body)
            case _:
                self._in_round(body)
        self._begin_round()

    def _sift(self, announced: Announcement) -> None:
        waiting = self._sifting.rounds_waiting
        if waiting > MAX_WAITING_ROUNDS and waiting * self._parts.options.block_bits > MAX_WAITING_BITS:
            raise PeerError("the far end announces detections without end")
        self.say(Answer(self._sifting.detections(announced.data, announced.part, self._states)))
        self.watch()

    def _states(self, slots: NDArray[np.int64]) -> PulseStates:
        """What was sent in slots that rise. PeerError when that cannot have been sent yet: it must not be told."""
        elapsed_s = self._parts.clock.monotonic() - self._began_s
        sent_slots = ((1 + CLOCK_DRIFT) * elapsed_s + CLOCK_TOLERANCE_S) * self._parts.options.source.clock_hz
        if len(slots) and slots[-1] >= sent_slots:
            raise PeerError("the far end announces detections of pulses that are not sent yet")
        return self._device.states(slots)

    def _open(self, asked: Open) -> None:
        if self.run.key is not None or self._awaits_proof is not None:
            raise PeerError("the far end opens what is open")
        key = self.set_aside(asked.name, asked.receipt)
        self.say(Open(asked.name, self.run.open(key)))

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
        round_ = due(body, self._round)
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
        self._awaits_proof = self.run.key
        self.close_stretch()
        self._round = None
        # The receiver need not wait until this end has hashed its own key.
        self.work.append(lambda: self._hold(round_, final, outcome))

    def _hold(self, round_: TransmitterRound, final: Final, outcome: Outcome) -> None:
        key = round_.key(final) if final.key_bits else b""
        self._held = replace(outcome, key=key)

    def _done(self, done: Done) -> None:
        held, key = self._held, self._awaits_proof
        if held is None or key is None or done.round != held.number:
            raise PeerError("the far end is done with a round that is not concluded")
        key.conclude(done.proof)
        self._held = self._awaits_proof = None
        self.sealed_rounds += 1
        self.finish(held)
