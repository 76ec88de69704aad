"""Cascade: both sides compare parities of ever smaller ranges until they know all errors.

The protocol of Brassard and Salvail (Eurocrypt 1993) with the block sizes and the random subsets of its later
variants (Martinez-Mateo, Pacher, Peev, Ciurana and Martin, "Demystifying the information reconciliation protocol
Cascade", 2015), and all searches of a round side by side:

A round is cut into frames of about 2^16 bits. Three passes over a frame, each in another order of its bits, compare
the parities of blocks. A block whose parities differ holds an odd number of errors; halving it again and again finds
one. Errors found make blocks of other passes odd in turn: these are searched again, which is the cascade. Last come
the parities of random subsets, which tell of errors that share a block in every pass.

**Waves.** In each wave both sides send one message: parities of their *own* bits, for exactly those ranges that both
know to be asked next. The sums of the two are the parities of the errors, so both follow the same search, and both know
all errors at the end. All frames search at once, each at its own pace; a round takes as many waves as its slowest
frame: at error rates of 1 to 5 % that were estimated well, some 150 to 300 for one frame and 400 to 600 for hundreds.

**What is disclosed.** In a pass a side sends prefix parities (of the first i positions in its order) and none twice;
that of the whole frame only in the first pass. In a subset it sends the parity of the subset and of first halves of
ranges, which are sent again, and counted again, when the same subset is searched again. `disclosed_bits` counts every
parity bit of the reference side that went over the line. So it is never less than the rank of what was learnt about the
reference bits. To that the parities of the correcting side add the error pattern alone, which is taken as public
(Tupkary and Luetkenhaus, "Using Cascade in quantum key distribution", 2023).

**Trust.** Messages must be authenticated. Wrong parities by a side that lies make wrong bits, which verification must
find; they can neither make the search endless nor touch memory that is not its own.
"""

import struct
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from keyhop.core.errors import PeerError
from keyhop.link.bb84.reconciliation import Bits, Side
from keyhop.link.bb84.reconciliation.cascade_kernels import CONTRADICTION, advance
from keyhop.link.bb84.reconciliation.cascade_plan import plan
from keyhop.link.bb84.reconciliation.cascade_search import begin, errors_found, most_questions

MIN_ROUND_BITS = 1_000
MAX_ROUND_BITS = 40_000_000

MAX_WAVES = 10_000
"""No honest round comes near, whatever its errors; it ends one that a lying side draws out."""

_HEADER = struct.Struct("<II")
"""Wave (from 0) and number of parities. They follow packed, bit i in byte i // 8 at i % 8, filled up with 0."""


class Cascade:
    """One side of the reconciliation of one round; see `Reconciliation`.

    Both sides must be given the same `qber_estimate` (a fraction; taken into [0.001, 0.12]) and the same public `seed`,
    chosen after the bits were transmitted. `bits` is uint8 [round], 1,000 to 40 million of them, not copied: it must
    not change. Raises ValueError for others.
    """

    def __init__(self, side: Side, bits: Bits, qber_estimate: float, seed: bytes) -> None:
        if bits.dtype != np.uint8 or bits.ndim != 1:
            raise ValueError("bits must be a one-dimensional array of uint8")
        if not MIN_ROUND_BITS <= bits.size <= MAX_ROUND_BITS:
            raise ValueError(f"a round has {MIN_ROUND_BITS} to {MAX_ROUND_BITS} bits, not {bits.size}")
        self._side = side
        self._own_bits = bits
        self._search = begin(bits, plan(bits.size, qber_estimate, seed))
        self._outgoing = np.zeros(most_questions(self._search) // 64 + 2, np.uint64)
        self._answers = np.zeros_like(self._outgoing)
        self._asked = 0
        self._wave = -1
        self._disclosed = 0
        self._done = False

    def start(self) -> list[bytes]:
        """The first wave."""
        return self._advance() if self._wave < 0 else []

    def received(self, message: bytes) -> list[bytes]:
        """Takes the other side's parities of this wave and returns the own ones of the next, or nothing at the end.

        Raises PeerError for anything but this wave's message, and for parities that contradict each other.
        """
        self._check(message)
        size = len(message) - _HEADER.size
        theirs = np.frombuffer(message, np.uint8, size, _HEADER.size)
        answers = self._answers.view(np.uint8)[:size]
        np.bitwise_xor(self._outgoing.view(np.uint8)[:size], theirs, out=answers)
        return self._advance()

    def _check(self, message: bytes) -> None:
        if self._done or self._wave < 0:
            raise PeerError("Cascade: a message out of turn")
        if len(message) != _HEADER.size + (self._asked + 7) // 8:
            raise PeerError(f"Cascade: a message of {len(message)} bytes for {self._asked} parities")
        wave, parities = _HEADER.unpack_from(message)
        if wave != self._wave or parities != self._asked:
            raise PeerError(f"Cascade: {parities} parities of wave {wave}; it is wave {self._wave} with {self._asked}")
        if self._asked % 8 and message[-1] >> self._asked % 8:
            raise PeerError("Cascade: bits after the last parity")

    def _advance(self) -> list[bytes]:
        self._outgoing[: self._asked // 64 + 1] = 0
        self._asked = advance(self._search, self._answers, self._outgoing)
        if self._asked == CONTRADICTION:
            self._done = True
            raise PeerError("Cascade: the parities contradict each other")
        self._wave += 1
        self._done = self._asked == 0
        if self._done:
            return []
        if self._wave >= MAX_WAVES:
            self._done = True
            raise PeerError(f"Cascade: not done after {MAX_WAVES} waves")
        self._disclosed += self._asked
        packed = self._outgoing.view(np.uint8)[: (self._asked + 7) // 8]
        return [_HEADER.pack(self._wave, self._asked) + packed.tobytes()]

    @property
    def done(self) -> bool:
        """Whether nothing is left to send or to receive."""
        return self._done

    @property
    def bits(self) -> Bits:
        """The reference side's own bits; the correcting side's without the errors found so far."""
        if self._side == "reference":
            return self._own_bits
        corrected = self._own_bits.copy()
        corrected[self.error_positions] ^= 1
        return corrected

    @property
    def error_positions(self) -> NDArray[np.int64]:
        """Where the sides differed, as far as they know by now; rising, and the same at both once they are done."""
        return self._final_errors if self._done else errors_found(self._search)

    @cached_property
    def _final_errors(self) -> NDArray[np.int64]:
        return errors_found(self._search)

    @property
    def disclosed_bits(self) -> int:
        """Parities of the reference that went over the line: as many as either side sent."""
        return self._disclosed

    @property
    def waves(self) -> int:
        """Messages that this side has sent."""
        return self._wave if self._done else self._wave + 1

    @property
    def frames(self) -> tuple[int, ...]:
        """Bits of each frame; they differ by one at most."""
        return tuple(self._search.frame_bits.tolist())

    @property
    def wrong_frames(self) -> tuple[int, ...]:
        """None: only verification finds them."""
        return ()
