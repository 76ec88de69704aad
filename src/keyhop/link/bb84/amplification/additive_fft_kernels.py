"""The passes of the additive Fourier transform, compiled.

Arrays have 2^k elements, 4 <= k. A pass over everything is run only where it must be: what concerns blocks that fit
a processor cache is done block by block.
"""

import numpy as np
from numpy.typing import NDArray

from keyhop.core.errors import LinkError
from keyhop.link.bb84.amplification import binary_field
from keyhop.link.bb84.amplification.eight_words import add, load, multiply, repeat, store, take
from keyhop.link.bb84.compiled import compiled

type Words = NDArray[np.uint64]

COARSE = 15
FINE = 11
"""Logarithms of blocks, in words, that fit the second and the first level of cache."""

LOW_INDEX_BITS = 12
"""Factors are looked up in two tables, by the low and the high bits of their index: they are linear in it."""


@compiled
def factor(low: Words, high: Words, index: int) -> np.uint64:
    """The factor of the butterflies of one block."""
    value: np.uint64 = low[index & ((1 << LOW_INDEX_BITS) - 1)] ^ high[index >> LOW_INDEX_BITS]
    return value


# Butterflies: (x, y) becomes (x + w y, x + w y + y), for the two halves of each block of 2^(level + 1).


@compiled
def forward_levels(values: Words, begin: int, end: int, top: int, bottom: int, low: Words, high: Words) -> None:
    """Levels top - 1 down to `bottom`, at least 3, of the blocks between; two levels in one pass where it can."""
    level = top
    if (top - bottom) & 1:
        level -= 1
        half = 1 << level
        for block in range(begin, end, 2 * half):
            w = repeat(factor(low, high, block >> (level + 1)))
            for i in range(block, block + half, 8):
                y = load(values, i + half)
                x = add(load(values, i), multiply(y, w))
                store(values, i, x)
                store(values, i + half, add(x, y))
    while level > bottom:
        level -= 2
        step = 1 << level
        for block in range(begin, end, 4 * step):
            index = block >> (level + 2)
            w = repeat(factor(low, high, index))
            w_left = repeat(factor(low, high, 2 * index))
            w_right = repeat(factor(low, high, 2 * index + 1))
            for i in range(block, block + step, 8):
                c, d = load(values, i + 2 * step), load(values, i + 3 * step)
                a = add(load(values, i), multiply(c, w))
                b = add(load(values, i + step), multiply(d, w))
                c, d = add(c, a), add(d, b)
                a, c = add(a, multiply(b, w_left)), add(c, multiply(d, w_right))
                store(values, i, a)
                store(values, i + step, add(a, b))
                store(values, i + 2 * step, c)
                store(values, i + 3 * step, add(c, d))


@compiled
def inverse_levels(values: Words, begin: int, end: int, bottom: int, top: int, low: Words, high: Words) -> None:
    """What undoes `forward_levels`."""
    level = bottom
    while level + 2 <= top:
        step = 1 << level
        for block in range(begin, end, 4 * step):
            index = block >> (level + 2)
            w = repeat(factor(low, high, index))
            w_left = repeat(factor(low, high, 2 * index))
            w_right = repeat(factor(low, high, 2 * index + 1))
            for i in range(block, block + step, 8):
                a, c = load(values, i), load(values, i + 2 * step)
                b, d = add(a, load(values, i + step)), add(c, load(values, i + 3 * step))
                a, c = add(a, multiply(b, w_left)), add(c, multiply(d, w_right))
                c, d = add(c, a), add(d, b)
                store(values, i, add(a, multiply(c, w)))
                store(values, i + step, add(b, multiply(d, w)))
                store(values, i + 2 * step, c)
                store(values, i + 3 * step, d)
        level += 2
    if level < top:
        half = 1 << level
        for block in range(begin, end, 2 * half):
            w = repeat(factor(low, high, block >> (level + 1)))
            for i in range(block, block + half, 8):
                x = load(values, i)
                y = add(x, load(values, i + half))
                store(values, i, add(x, multiply(y, w)))
                store(values, i + half, y)


@compiled
def forward_sixteens(values: Words, begin: int, end: int, low: Words, high: Words, offsets: Words) -> None:
    """Levels 3 to 0 in registers. `offsets` are the differences of factors within blocks of sixteen."""
    by_four, by_two, by_one = load(offsets, 0), load(offsets, 8), load(offsets, 16)
    for block in range(begin, end, 16):
        y = load(values, block + 8)
        x = add(load(values, block), multiply(y, repeat(factor(low, high, block >> 4))))
        y = add(x, y)
        x, y = take(x, y, 0xBA983210), take(x, y, 0xFEDC7654)
        x = add(x, multiply(y, add(by_four, repeat(factor(low, high, block >> 3)))))
        y = add(x, y)
        x, y = take(x, y, 0xDC549810), take(x, y, 0xFE76BA32)
        x = add(x, multiply(y, add(by_two, repeat(factor(low, high, block >> 2)))))
        y = add(x, y)
        x, y = take(x, y, 0xE6C4A280), take(x, y, 0xF7D5B391)
        x = add(x, multiply(y, add(by_one, repeat(factor(low, high, block >> 1)))))
        y = add(x, y)
        store(values, block, take(x, y, 0xB3A29180))
        store(values, block + 8, take(x, y, 0xF7E6D5C4))


@compiled
def inverse_sixteens(values: Words, begin: int, end: int, low: Words, high: Words, offsets: Words) -> None:
    """What undoes `forward_sixteens`."""
    by_four, by_two, by_one = load(offsets, 0), load(offsets, 8), load(offsets, 16)
    for block in range(begin, end, 16):
        x, y = load(values, block), load(values, block + 8)
        x, y = take(x, y, 0xECA86420), take(x, y, 0xFDB97531)
        y = add(x, y)
        x = add(x, multiply(y, add(by_one, repeat(factor(low, high, block >> 1)))))
        x, y = take(x, y, 0xE6C4A280), take(x, y, 0xF7D5B391)
        y = add(x, y)
        x = add(x, multiply(y, add(by_two, repeat(factor(low, high, block >> 2)))))
        x, y = take(x, y, 0xDC549810), take(x, y, 0xFE76BA32)
        y = add(x, y)
        x = add(x, multiply(y, add(by_four, repeat(factor(low, high, block >> 3)))))
        x, y = take(x, y, 0xBA983210), take(x, y, 0xFEDC7654)
        y = add(x, y)
        store(values, block, add(x, multiply(y, repeat(factor(low, high, block >> 4)))))
        store(values, block + 8, y)


@compiled
def evaluate(values: Words, low: Words, high: Words, offsets: Words) -> None:
    """Coefficients in the novel basis become values at all points, in place."""
    size = values.size
    levels = 4
    while 1 << levels < size:
        levels += 1
    coarse, fine = min(levels, COARSE), min(levels, FINE)
    forward_levels(values, 0, size, levels, coarse, low, high)
    for begin in range(0, size, 1 << coarse):
        forward_levels(values, begin, begin + (1 << coarse), coarse, fine, low, high)
        for block in range(begin, begin + (1 << coarse), 1 << fine):
            forward_levels(values, block, block + (1 << fine), fine, 4, low, high)
            forward_sixteens(values, block, block + (1 << fine), low, high, offsets)


@compiled
def interpolate(values: Words, low: Words, high: Words, offsets: Words) -> None:
    """What undoes `evaluate`."""
    size = values.size
    levels = 4
    while 1 << levels < size:
        levels += 1
    coarse, fine = min(levels, COARSE), min(levels, FINE)
    for begin in range(0, size, 1 << coarse):
        for block in range(begin, begin + (1 << coarse), 1 << fine):
            inverse_sixteens(values, block, block + (1 << fine), low, high, offsets)
            inverse_levels(values, block, block + (1 << fine), 4, fine, low, high)
        inverse_levels(values, begin, begin + (1 << coarse), fine, coarse, low, high)
    inverse_levels(values, 0, size, coarse, levels, low, high)


@compiled
def multiply_all(values: Words, others: Words) -> None:
    """Products in the field, element by element, into `values`."""
    for i in range(0, values.size, 8):
        store(values, i, multiply(load(values, i), load(others, i)))


def warm_up() -> None:
    """Compiles everything here. Raises LinkError if this processor's products in the field are wrong."""
    values, table = np.zeros(16, np.uint64), np.zeros(1 << LOW_INDEX_BITS, np.uint64)
    evaluate(values, table, table, table)
    interpolate(values, table, table, table)
    a = [pow(3, 41 + i) % 2**64 for i in range(16)]
    b = [2**64 - 1 - pow(5, 28 + i) % 2**64 for i in range(16)]
    products = np.array(a, np.uint64)
    multiply_all(products, np.array(b, np.uint64))
    if products.tolist() != [binary_field.multiply(x, y) for x, y in zip(a, b, strict=True)]:
        raise LinkError("carry-less products come out wrong on this processor", hint="set NUMBA_CPU_NAME=generic")
