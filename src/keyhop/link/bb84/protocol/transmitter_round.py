"""The transmitter's side of a round: it answers, discloses, and decides what the round yields.

    correcting  →  comparing  →  counted  →  over
                      ↓   ↑
                     mending

The transmitter's bits are the key. Everything that it says about them is counted as disclosed, whoever asked: until
the receiver's tag is verified nobody knows who did.
"""

from itertools import pairwise
from typing import Literal

import numpy as np

from keyhop.core.entropy import Entropy
from keyhop.core.errors import PeerError
from keyhop.link.bb84.amplification.toeplitz import seed_bytes
from keyhop.link.bb84.authentication.verification import DIGEST_BITS, KEY_BYTES, digest, frame_digests
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
from keyhop.link.bb84.protocol.round_rules import (
    MAX_ATTEMPTS,
    Outcome,
    amplified,
    counts,
    figures,
    judge,
    usable_pool_bytes,
)
from keyhop.link.bb84.reconciliation import Reconciliation
from keyhop.link.bb84.settings import Bb84Options
from keyhop.link.bb84.sifting.rounds import SiftedRound

type _Stage = Literal["correcting", "comparing", "mending", "counted", "over"]


class TransmitterRound:
    """One round. Bodies go in and come out; `received` raises PeerError for what is not due."""

    def __init__(
        self, sifted: SiftedRound, reconciliation: Reconciliation, options: Bb84Options, entropy: Entropy
    ) -> None:
        self.number = sifted.number
        self._sifted = sifted
        self._reconciliation = reconciliation
        self._options = options
        self._entropy = entropy
        self._stage: _Stage = "correcting"
        self._disclosed_besides = 0
        self._attempts = 0
        self._counted: Counted | None = None

    @property
    def awaits_tag(self) -> bool:
        """Whether the receiver has said all that it has to say."""
        return self._stage == "counted" and not self.barren

    @property
    def barren(self) -> bool:
        """Whether the receiver found that the round allows no key, and shows no tag."""
        return self._counted is not None and self._counted.barren

    def start(self) -> list[Body]:
        """What to say first."""
        return [Reconcile(self.number, data) for data in self._reconciliation.start()]

    def received(self, body: Body) -> list[Body]:
        """The answers to what the receiver says of this round."""
        match self._stage, body:
            case "correcting", Reconcile(data=data):
                return [Reconcile(self.number, answer) for answer in self._reconciliation.received(data)]
            case "correcting", Wrong(frames=frames) if self._reconciliation.done:
                return self._disclose(frames)
            case "mending", Wrong(frames=frames):
                return self._disclose(frames)
            case "comparing", Differs():
                return self._differs()
            case "comparing", Counted() as counted:
                self._counted, self._stage = counted, "counted"
                return []
        raise PeerError(f"the far end says {type(body).__name__} when it is not due")

    def conclude(self, wanted_pool_bytes: int, first_sequence: int) -> tuple[Final, Outcome]:
        """What the round yields, but for the key itself; once the receiver's tag is verified, or none will come.

        Raises PeerError for counts that cannot be.
        """
        assert self._counted is not None
        self._stage = "over"
        counted = counts(self._sifted, self._counted.m_z)
        disclosed = self._reconciliation.disclosed_bits + self._disclosed_besides
        verdict = judge(self._sifted, counted, self._counted.doubles, disclosed, self._options)
        found = figures(self._reconciliation, counted, disclosed, verdict)
        key_bits = 0 if self.barren else verdict.key_bits
        if not key_bits:
            reason = verdict.reason or "the receiver found that the round allows no key"
            outcome = Outcome(self.number, qber=counted.qber_z, reason=reason, alarm=verdict.alarm, figures=found)
            return Final(self.number, b"", 0, 0, 0, reason[:512], verdict.alarm), outcome
        bits = self._reconciliation.bits
        seed = self._entropy.token(seed_bytes(len(bits), key_bits))
        pool_bytes = usable_pool_bytes(wanted_pool_bytes, key_bits)
        final = Final(self.number, seed, key_bits, pool_bytes, first_sequence, "", alarm=False)
        outcome = Outcome(self.number, b"", pool_bytes, first_sequence, counted.qber_z, figures=found)
        return final, outcome

    def key(self, final: Final) -> bytes:
        """The key of a round that was concluded so."""
        return amplified(self._reconciliation.bits, final.seed, final.key_bits)

    def _disclose(self, frames: tuple[int, ...]) -> list[Body]:
        """Frames that are wrong, whole; then the digest of everything, which the receiver compares."""
        data = self._frame_bits(frames)
        self._stage = "comparing"
        key = self._entropy.token(KEY_BYTES)
        self._disclosed_besides += DIGEST_BITS
        packed = np.packbits(self._reconciliation.bits, bitorder="little")
        answers: list[Body] = [Digest(self.number, key, digest(packed, key))]
        return [FrameBits(self.number, data), *answers] if frames else answers

    def _frame_bits(self, frames: tuple[int, ...]) -> bytes:
        sizes = self._reconciliation.frames
        if any(later <= earlier for earlier, later in pairwise(frames)):
            raise PeerError("the far end names wrong frames out of order")
        if frames and frames[-1] >= len(sizes):
            raise PeerError(f"the far end names frame {frames[-1]} of {len(sizes)}")
        self._disclosed_besides += sum(sizes[frame] for frame in frames)
        ends = np.cumsum(sizes)
        bits = self._reconciliation.bits
        parts = [bits[ends[frame] - sizes[frame] : ends[frame]] for frame in frames]
        return np.packbits(np.concatenate(parts), bitorder="little").tobytes() if parts else b""

    def _differs(self) -> list[Body]:
        self._attempts += 1
        if self._attempts == MAX_ATTEMPTS:
            self._stage = "over"
            return [Final(self.number, b"", 0, 0, 0, UNCORRECTABLE, alarm=False)]
        self._stage = "mending"
        frames = self._reconciliation.frames
        self._disclosed_besides += DIGEST_BITS * len(frames)
        key = self._entropy.token(KEY_BYTES)
        return [FrameDigests(self.number, key, frame_digests(self._reconciliation.bits, frames, key))]

    @property
    def discarded(self) -> bool:
        """Whether it was given up because its errors could not be corrected."""
        return self._stage == "over" and self._counted is None


UNCORRECTABLE = "the errors of a round could not be corrected"
