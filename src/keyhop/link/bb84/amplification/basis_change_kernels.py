"""From powers of x to the novel basis of the additive Fourier transform and back, compiled.

A polynomial is divided again and again by x^t + x, for t a power of two that is itself a power of a power of two
(S. Gao and T. Mateer, IEEE Trans. Inf. Theory 56 (2010) 6265, section III): nothing but sums of coefficients.
"""

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.amplification.eight_words import add, load, load_half_words, repeat, store, take
from keyhop.link.bb84.compiled import compiled

type Coefficients = NDArray[np.uint32] | NDArray[np.uint64]

type Steps = NDArray[np.int64]
"""Rows (lag, half) of one halving each: see `divide`."""

SIXTEEN = 4
CACHED = 16
"""Logarithm of the block in which all small steps are done before the next block."""


@compiled
def add_range(values: Coefficients, source: int, target: int, count: int) -> None:
    """Adds so many elements to others, which lie apart from them."""
    at_once = 64 // values.itemsize
    if count >= at_once:
        for i in range(0, count, at_once):
            store(values, target + i, add(load(values, target + i), load(values, source + i)))
    else:
        for i in range(count):
            values[target + i] ^= values[source + i]


@compiled
def divide(values: Coefficients, begin: int, end: int, lag: int, half: int, undo: bool) -> None:
    """One halving of each block of 2 half: the upper half is added `half - lag` places lower, and so is its end."""
    distance = half - lag
    at_once = 64 // values.itemsize
    for block in range(begin, end, 2 * half):
        middle, top = block + half, block + 2 * half
        if not undo:
            add_range(values, top - lag, middle, lag)
        # The last vector is only in part below the middle; what it spoils beyond is put back.
        kept = load(values, middle)
        for i in range(middle, top - lag, at_once):
            store(values, i - distance, add(load(values, i - distance), load(values, i)))
        store(values, middle, kept)
        if undo:
            add_range(values, top - lag, middle, lag)


@compiled
def divide_all(values: Coefficients, begin: int, end: int, steps: Steps, undo: bool) -> None:
    """The steps in their order, backwards if they are to be undone."""
    for number in range(len(steps)):
        lag, half = steps[len(steps) - 1 - number if undo else number]
        divide(values, begin, end, lag, half, undo)


@compiled
def to_novel_basis(digits: NDArray[np.uint32], wide: Steps, narrow: Steps, values: NDArray[np.uint64]) -> None:
    """Coefficients of x^i, which are spoilt, become coefficients in the novel basis, in `values`."""
    size = digits.size
    block_size = min(size, 1 << CACHED)
    divide_all(digits, 0, size, wide, False)
    nothing = repeat(np.uint64(0))
    for begin in range(0, size, block_size):
        divide_all(digits, begin, begin + block_size, narrow, False)
        for i in range(begin, begin + block_size, 16):
            x, y = load_half_words(digits, i), load_half_words(digits, i + 8)
            y = add(y, take(y, nothing, 0x88888876))
            x = add(x, take(y, nothing, 0x54321088))
            x, y = add(x, take(x, nothing, 0x88878888)), add(y, take(y, nothing, 0x88878888))
            x, y = add(x, take(x, nothing, 0x88886548)), add(y, take(y, nothing, 0x88886548))
            y = add(y, take(y, nothing, 0x88887654))
            x = add(x, take(y, nothing, 0x32108888))
            x, y = add(x, take(x, nothing, 0x87888388)), add(y, take(y, nothing, 0x87888388))
            x, y = add(x, take(x, nothing, 0x88688828)), add(y, take(y, nothing, 0x88688828))
            store(values, i, x)
            store(values, i + 8, y)


@compiled
def from_novel_basis(values: NDArray[np.uint64], wide: Steps, narrow: Steps) -> None:
    """What undoes `to_novel_basis`, in place."""
    size = values.size
    block_size = min(size, 1 << CACHED)
    nothing = repeat(np.uint64(0))
    for begin in range(0, size, block_size):
        for i in range(begin, begin + block_size, 16):
            x, y = load(values, i), load(values, i + 8)
            x, y = add(x, take(x, nothing, 0x88688828)), add(y, take(y, nothing, 0x88688828))
            x, y = add(x, take(x, nothing, 0x87888388)), add(y, take(y, nothing, 0x87888388))
            x = add(x, take(y, nothing, 0x32108888))
            y = add(y, take(y, nothing, 0x88887654))
            x, y = add(x, take(x, nothing, 0x88886548)), add(y, take(y, nothing, 0x88886548))
            x, y = add(x, take(x, nothing, 0x88878888)), add(y, take(y, nothing, 0x88878888))
            x = add(x, take(y, nothing, 0x54321088))
            y = add(y, take(y, nothing, 0x88888876))
            store(values, i, x)
            store(values, i + 8, y)
        divide_all(values, begin, begin + block_size, narrow, True)
    divide_all(values, 0, size, wide, True)


def warm_up() -> None:
    """Compiles everything here."""
    values, steps = np.zeros(16, np.uint64), np.zeros((0, 2), np.int64)
    to_novel_basis(np.zeros(16, np.uint32), steps, steps, values)
    from_novel_basis(values, steps, steps)
