"""One-way reconciliation: the transmitter sends the syndromes of its frames, the receiver corrects his by them.

    reference   syndromes of all frames, in messages of at most 512 KiB      ->
                <-  one message: which frames the receiver could not decode       correcting

A frame that could not be decoded stays as it was; what the far end then does about it is up to the caller, and its
syndrome counts as disclosed either way.

A round is cut into as few frames of nearly equal size as codes of 131,072 bits allow. The code is made for that size:
nothing is punctured, and fewer than 256 zeros, which both ends know, fill a frame up; they are not counted as anything.

Syndromes: first frame (4 bytes), columns, rows and circulant of the code (2 bytes each), then each frame's syndrome
packed by itself. The answer: a packed array with a one for each wrong frame. All numbers are little-endian.
"""

import struct
from collections.abc import Iterator

import numpy as np

from keyhop.core.errors import PeerError
from keyhop.link.bb84.reconciliation import Bits, Side
from keyhop.link.bb84.reconciliation.ldpc_codes import MAX_FRAME_BITS, choose
from keyhop.link.bb84.reconciliation.ldpc_decoder import FrameCoder

MAX_SYNDROMES_BYTES = 512 << 10
_HEADER = struct.Struct("<IHHH")


class Ldpc:
    """One side of the one-way reconciliation of one round; implements `Reconciliation`.

    `bits` are this side's bits of the round, at least one. `qber_estimate`, a fraction, must be the same at both ends:
    it decides about the code. The frames' error rates scatter around the round's, which is allowed for; that the
    estimate itself may be too low is not. `seed` is not used: nothing about these codes is drawn anew for each round.
    """

    def __init__(self, side: Side, bits: Bits, qber_estimate: float, seed: bytes) -> None:
        if not bits.size:
            raise ValueError("nothing to reconcile")
        self._side = side
        self._bits = bits.copy()
        self._frames = _frame_sizes(bits.size)
        self._code, self._qber = choose(self._frames[0], qber_estimate)
        self._coder = FrameCoder(self._code)
        self._ends = np.cumsum((0, *self._frames)).tolist()
        self._wrong: list[int] = []
        self._iterations: list[int] = []
        self._next_frame = 0
        self._state = "new"

    def start(self) -> list[bytes]:
        """The reference side's syndromes, in order; nothing for the correcting side."""
        if self._state != "new":
            raise ValueError("this reconciliation has been started before")
        self._state = "waiting"
        return list(self._syndromes()) if self._side == "reference" else []

    def received(self, message: bytes) -> list[bytes]:
        """Decodes the frames of a message of syndromes, or takes the answer. Raises PeerError."""
        if self._state != "waiting":
            raise PeerError("a message of the reconciliation that nobody waits for")
        if self._side == "reference":
            self._take_answer(message)
            return []
        self._take_syndromes(message)
        if self._next_frame < len(self._frames):
            return []
        self._state = "done"
        wrong = np.zeros(len(self._frames), np.uint8)
        wrong[self._wrong] = 1
        return [np.packbits(wrong, bitorder="little").tobytes()]

    @property
    def done(self) -> bool:
        """Whether the answer was sent or received."""
        return self._state == "done"

    @property
    def bits(self) -> Bits:
        """The bits as this side has them now; the reference side's never change."""
        return self._bits

    @property
    def disclosed_bits(self) -> int:
        """The syndromes' bits, of the wrong frames' too."""
        return len(self._frames) * self._code.checks

    @property
    def frames(self) -> tuple[int, ...]:
        """Sizes in bits of the frames, in order."""
        return self._frames

    @property
    def wrong_frames(self) -> tuple[int, ...]:
        """The frames that could not be decoded, rising; the reference side knows them once it is done."""
        return tuple(self._wrong)

    @property
    def iterations(self) -> tuple[int, ...]:
        """What each frame decoded so far took the correcting side."""
        return tuple(self._iterations)

    def _syndrome_bytes(self) -> int:
        return -(-self._code.checks // 8)

    def _frames_per_message(self) -> int:
        return (MAX_SYNDROMES_BYTES - _HEADER.size) // self._syndrome_bytes()

    def _header(self, first_frame: int) -> bytes:
        return _HEADER.pack(first_frame, self._code.columns, self._code.rows, self._code.circulant)

    def _frame(self, number: int) -> slice:
        return slice(self._ends[number], self._ends[number + 1])

    def _syndromes(self) -> Iterator[bytes]:
        for first in range(0, len(self._frames), self._frames_per_message()):
            last = min(first + self._frames_per_message(), len(self._frames))
            packed = [
                np.packbits(self._coder.syndrome(self._bits[self._frame(number)]), bitorder="little").tobytes()
                for number in range(first, last)
            ]
            yield self._header(first) + b"".join(packed)

    def _take_syndromes(self, message: bytes) -> None:
        """Checks all of the message before any of its frames is decoded."""
        first = self._next_frame
        last = min(first + self._frames_per_message(), len(self._frames))
        if message[: _HEADER.size] != self._header(first):
            raise PeerError("the far end sent syndromes of other frames, or of another code, than are to come next")
        if len(message) != _HEADER.size + (last - first) * self._syndrome_bytes():
            raise PeerError(f"the syndromes of {last - first} frames do not have {len(message)} bytes")
        packed = np.frombuffer(message, np.uint8, offset=_HEADER.size).reshape(last - first, -1)
        syndromes = np.unpackbits(packed, axis=1, bitorder="little")
        if syndromes[:, self._code.checks :].any():
            raise PeerError("a syndrome has bits behind its end")
        for number, syndrome in zip(range(first, last), syndromes, strict=True):
            self._correct(number, syndrome[: self._code.checks])
        self._next_frame = last

    def _correct(self, number: int, syndrome: Bits) -> None:
        corrected, iterations = self._coder.decode(self._bits[self._frame(number)], syndrome, self._qber)
        self._iterations.append(iterations)
        if corrected is None:
            self._wrong.append(number)
        else:
            self._bits[self._frame(number)] = corrected

    def _take_answer(self, message: bytes) -> None:
        if len(message) != -(-len(self._frames) // 8):
            raise PeerError(f"the list of wrong frames does not have {len(message)} bytes")
        wrong = np.unpackbits(np.frombuffer(message, np.uint8), bitorder="little")
        if wrong[len(self._frames) :].any():
            raise PeerError("a frame that does not exist is said to be wrong")
        self._wrong = np.flatnonzero(wrong).tolist()
        self._state = "done"


def _frame_sizes(bits: int) -> tuple[int, ...]:
    """Sizes that differ by one at most, the larger ones first."""
    count = -(-bits // MAX_FRAME_BITS)
    small, larger = divmod(bits, count)
    return (small + 1,) * larger + (small,) * (count - larger)
