"""The receiver's side of a round: it corrects its bits, counts its errors, and takes what the transmitter concludes.

correcting  →  comparing  →  counted  →  over
                  ↓   ↑
                differing
"""

from typing import Literal

import numpy as np

from keyhop.core.errors import PeerError
from keyhop.link.bb84.amplification.toeplitz import seed_bytes
from keyhop.link.bb84.authentication.enrolment import ENTRY_BYTES
from keyhop.link.bb84.authentication.verification import DIGEST_BITS, agrees, differing_frames
from keyhop.link.bb84.protocol.messages import (
    Body,
    Counted,
    Differs,
    Digest,
    Final,
    FrameBits,
    FrameDigests,
    Reconcile,
    Wrong,
)
from keyhop.link.bb84.protocol.round_rules import Outcome, Verdict, amplified, counts, figures, judge, usable_pool_bytes
from keyhop.link.bb84.reconciliation import Bits, Reconciliation
from keyhop.link.bb84.settings import Bb84Options
from keyhop.link.bb84.sifting.rounds import SiftedRound

type _Stage = Literal["correcting", "comparing", "differing", "counted", "over"]


class ReceiverRound:
    """One round. Bodies go in and come out; `received` raises PeerError for what is not due."""

    def __init__(self, sifted: SiftedRound, reconciliation: Reconciliation, options: Bb84Options) -> None:
        self.number = sifted.number
        self._sifted = sifted
        self._reconciliation = reconciliation
        self._options = options
        self._stage: _Stage = "correcting"
        self._bits: Bits = sifted.bits
        self._awaited: tuple[int, ...] = ()
        self._disclosed_besides = 0
        self._m_z: tuple[int, ...] = ()
        self._final: Final | None = None
        self._verdict: Verdict | None = None

    @property
    def counted(self) -> bool:
        """Whether this end has said all that it has to say, and must show it by its tag."""
        return self._stage == "counted"

    @property
    def barren(self) -> bool:
        """Whether the counts allow no key, so that no tag is worth its key."""
        return self._verdict is not None and not self._verdict.key_bits

    @property
    def discarded(self) -> bool:
        """Whether the transmitter gave it up because its errors could not be corrected."""
        return self._stage == "over" and not self._m_z

    @property
    def final(self) -> Final | None:
        """What the transmitter concluded; to be believed once its tag is verified."""
        return self._final

    def start(self) -> list[Body]:
        """What to say first."""
        return self._corrected([Reconcile(self.number, data) for data in self._reconciliation.start()])

    def received(self, body: Body) -> list[Body]:
        """The answers to what the transmitter says of this round."""
        match self._stage, body:
            case "correcting", Reconcile(data=data):
                return self._corrected(
                    [Reconcile(self.number, answer) for answer in self._reconciliation.received(data)]
                )
            case "comparing", FrameBits(data=data) if self._awaited:
                self._replace(data)
                return []
            case "comparing", Digest(key=key, digest=theirs) if not self._awaited:
                return self._compare(key, theirs)
            case "differing", FrameDigests(key=key, data=data):
                frames = self._reconciliation.frames
                self._disclosed_besides += DIGEST_BITS * len(frames)
                return self._name(differing_frames(self._bits, frames, key, data))
            case ("counted", Final() as final) | ("differing", Final(key_bits=0) as final):
                self._final, self._stage = final, "over"
                return []
        raise PeerError(f"the far end says {type(body).__name__} when it is not due")

    def conclude(self, first_sequence: int) -> Outcome:
        """The round's key, as the transmitter concluded; once its tag is verified. PeerError when that cannot be."""
        final, verdict = self._final, self._verdict
        assert final is not None
        assert verdict is not None
        qber = sum(self._m_z) / len(self._bits)
        found = figures(self._reconciliation, counts(self._sifted, self._m_z), self._disclosed, verdict)
        if not final.key_bits:
            reason, alarm = verdict.reason or final.reason, verdict.alarm or final.alarm
            return Outcome(self.number, qber=qber, reason=reason, alarm=alarm, figures=found)
        if final.key_bits > verdict.key_bits or final.key_bits % 8:
            raise PeerError("the far end takes more bits for secret than there can be")
        if final.first_sequence != first_sequence or len(final.seed) != seed_bytes(len(self._bits), final.key_bits):
            raise PeerError("the far end concludes a round wrongly")
        if final.pool_bytes != usable_pool_bytes(final.pool_bytes, final.key_bits) or final.pool_bytes % ENTRY_BYTES:
            raise PeerError("the far end concludes a round wrongly")
        key = amplified(self._bits, final.seed, final.key_bits)
        return Outcome(self.number, key, final.pool_bytes, first_sequence, qber, figures=found)

    def _corrected(self, answers: list[Body]) -> list[Body]:
        """Once nothing is left to correct: the frames that are known to be wrong, which may be none."""
        if not self._reconciliation.done:
            return answers
        self._bits = self._reconciliation.bits
        return [*answers, *self._name(self._reconciliation.wrong_frames)]

    def _name(self, frames: tuple[int, ...]) -> list[Body]:
        self._stage, self._awaited = "comparing", frames
        self._disclosed_besides += sum(self._reconciliation.frames[frame] for frame in frames)
        return [Wrong(self.number, frames)]

    def _replace(self, data: bytes) -> None:
        sizes = self._reconciliation.frames
        wanted = sum(sizes[frame] for frame in self._awaited)
        if len(data) != -(-wanted // 8):
            raise PeerError(f"the far end discloses {len(data)} bytes, not {wanted} bits")
        bits = np.unpackbits(np.frombuffer(data, np.uint8), count=wanted, bitorder="little")
        ends, at = np.cumsum(sizes), 0
        self._bits = self._bits.copy()
        for frame in self._awaited:
            self._bits[ends[frame] - sizes[frame] : ends[frame]] = bits[at : at + sizes[frame]]
            at += sizes[frame]
        self._awaited = ()

    def _compare(self, key: bytes, theirs: bytes) -> list[Body]:
        self._disclosed_besides += DIGEST_BITS
        packed = np.packbits(self._bits, bitorder="little")
        if not agrees(packed, key, theirs):
            self._stage = "differing"
            return [Differs(self.number)]
        self._stage = "counted"
        wrong = self._sifted.bits != self._bits
        per_intensity = np.bincount(self._sifted.intensities[wrong], minlength=len(self._sifted.n_z))
        self._m_z = tuple(int(count) for count in per_intensity)
        doubles = self._sifted.doubles
        assert doubles is not None
        both = (doubles.z_matching, doubles.z_other, doubles.x_matching, doubles.x_other)
        counted = counts(self._sifted, self._m_z)
        self._verdict = judge(self._sifted, counted, both, self._disclosed, self._options)
        return [Counted(self.number, self._m_z, both, self.barren)]

    @property
    def _disclosed(self) -> int:
        return self._reconciliation.disclosed_bits + self._disclosed_besides
