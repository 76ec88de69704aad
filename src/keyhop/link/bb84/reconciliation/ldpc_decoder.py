"""Syndromes and decoding of frames with one code, over arrays that are made once and used for every frame."""

import math

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.reconciliation import Bits
from keyhop.link.bb84.reconciliation.ldpc_codes import Code
from keyhop.link.bb84.reconciliation.ldpc_kernels import STEP, collect, decode, parities, spread, stride_of
from keyhop.link.bb84.reconciliation.ldpc_lanes import LANES

MAX_ITERATIONS = 100
_CERTAIN = 127
_MAX_FIRST_BELIEF = 40


class FrameCoder:
    """Works on frames of up to as many bits as the code has; the code's other bits are zeros, which both ends know."""

    def __init__(self, code: Code) -> None:
        self._code = code
        lanes_per_row = -(-code.circulant // LANES) * LANES
        self._stride = stride_of(code.circulant)
        edges = code.column.size
        self._rings = np.zeros(2 * code.columns * self._stride, np.int8)
        self._messages = np.zeros(edges * lanes_per_row, np.int8)
        self._checks = np.zeros((code.rows, lanes_per_row), np.int8)
        self._values = np.zeros(code.bits + LANES, np.int8)
        self._copies = np.zeros(code.columns, np.int64)
        self._straight = np.zeros(code.columns, np.int64)
        self._turn, self._final_turn, self._last_shift = _turns(code)

    def syndrome(self, bits: Bits) -> Bits:
        """The parity of every check; `bits` is one frame."""
        code = self._code
        self._values[: bits.size] = bits
        self._values[bits.size :] = 0
        spread(self._values, self._straight, code.circulant, self._stride, self._rings)
        checks = self._checks.reshape(-1)
        parities(self._rings, code.first_edge, code.column * self._stride, code.shift, code.circulant, checks)
        return self._checks[:, : code.circulant].astype(np.uint8).reshape(-1)

    def decode(self, bits: Bits, syndrome: Bits, qber: float) -> tuple[Bits | None, int]:
        """What the far end's frame was, going by its syndrome; None if no answer was found. And the iterations taken.

        `bits` is our frame, in which a fraction `qber` is presumably wrong.
        """
        code = self._code
        belief = min(round(math.log((1 - qber) / qber) / STEP), _MAX_FIRST_BELIEF)
        values = self._values
        np.multiply(bits.view(np.int8), np.int8(-2 * belief), out=values[: bits.size])
        values[: bits.size] += np.int8(belief)
        values[bits.size :] = _CERTAIN
        spread(values, self._last_shift, code.circulant, self._stride, self._rings)
        self._checks[:, : code.circulant] = syndrome.view(np.int8).reshape(code.rows, code.circulant)
        np.negative(self._checks, out=self._checks)
        iterations = decode(
            self._rings,
            self._messages,
            self._checks.reshape(-1),
            code.first_edge,
            code.column,
            self._turn,
            self._final_turn,
            self._copies,
            code.circulant,
            MAX_ITERATIONS,
        )
        if not iterations:
            return None, MAX_ITERATIONS
        collect(self._rings, self._copies, self._last_shift, code.circulant, self._stride, values)
        return (values[: bits.size] < 0).view(np.uint8), iterations


def _turns(code: Code) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Per edge `turn` and `final_turn` as `decode` wants them, and per column the shift of the last row that has it."""
    last_shift = np.zeros(code.columns, np.int64)
    last_shift[code.column] = code.shift  # of several edges of a column the last one stays
    before = last_shift.copy()
    turn = np.empty_like(code.shift)
    for edge, (column, shift) in enumerate(zip(code.column.tolist(), code.shift.tolist(), strict=True)):
        turn[edge] = (shift - before[column]) % code.circulant
        before[column] = shift
    return turn, (code.shift - last_shift[code.column]) % code.circulant, last_shift
