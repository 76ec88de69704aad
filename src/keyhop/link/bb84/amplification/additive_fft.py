"""Products of long binary polynomials by an additive fast Fourier transform.

The polynomial is cut into digits of 32 bits, which are elements of GF(2^64): a product of two digits has 63 bits and
fits. It is evaluated at the 2^k sums of the first k elements of a Cantor basis, multiplied there point by point, and
brought back (D. Cantor, J. Comb. Theory A 50 (1989) 285; S. Gao and T. Mateer, IEEE Trans. Inf. Theory 56 (2010)
6265, section IV; S.-J. Lin, W.-H. Chung and Y. S. Han, FOCS 2014, for the novel basis).

The points are the roots of s_k(x), the sum of x^(2^j) over all j with odd binomial coefficient (k over j). So the
product comes out modulo s_k: what exceeds 2^k digits is added in again at the 2^j that are left, all of them known,
and does no harm where the product is not wanted.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.amplification import additive_fft_kernels, basis_change_kernels
from keyhop.link.bb84.amplification.binary_field import cantor_basis

type Words = NDArray[np.uint64]

DIGIT_BITS = 32
SMALLEST = 4
LARGEST = 24
"""Logarithms of the lengths that a transform may have, in digits."""


@cache
def _factors() -> tuple[Words, Words, Words]:
    """Of the butterflies: by low and by high bits of their index, and their differences within sixteen points."""
    basis = cantor_basis(LARGEST)[1:]
    low_bits = additive_fft_kernels.LOW_INDEX_BITS
    low, high = _sums(basis[:low_bits]), _sums(basis[low_bits:])
    offsets = np.concatenate([np.repeat(low[: 1 << bits], 8 >> bits) for bits in (1, 2, 3)])
    return low, high, offsets


def _sums(basis: tuple[int, ...]) -> Words:
    """Element i is the sum of the basis elements whose bits i has."""
    sums = np.zeros(1, np.uint64)
    for element in basis:
        sums = np.concatenate([sums, sums ^ np.uint64(element)])
    return sums


def _divisions(log_size: int, log_group: int) -> list[tuple[int, int, int]]:
    """The change of basis of 2^log_size groups of 2^log_group coefficients: (logarithm of the span, lag, half)."""
    if log_size <= 1:
        return []
    inner = 1 << (log_size - 1).bit_length() - 1
    span = log_size + log_group
    own = [
        (span, 1 << level + log_group, 1 << level + inner + log_group) for level in reversed(range(log_size - inner))
    ]
    return own + _divisions(log_size - inner, log_group + inner) + _divisions(inner, log_group)


@cache
def _steps(log_size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The steps over blocks larger than a cache, and the smaller ones but those within sixteen coefficients."""
    cached, registers = basis_change_kernels.CACHED, basis_change_kernels.SIXTEEN
    steps = _divisions(log_size, 0)
    wide = [step[1:] for step in steps if step[0] > cached]
    narrow = [step[1:] for step in steps if registers < step[0] <= cached]
    return np.array(wide, np.int64).reshape(-1, 2), np.array(narrow, np.int64).reshape(-1, 2)


def transform(packed: NDArray[np.uint8], log_size: int) -> Words:
    """The values of a packed binary polynomial, of at most 32 * 2^log_size bits, at the 2^log_size points.

    Point number i is the sum of the Cantor basis elements whose bits i has.
    """
    if not SMALLEST <= log_size <= LARGEST:
        raise ValueError(f"a transform has 2^{SMALLEST} to 2^{LARGEST} points, not 2^{log_size}")
    if 8 * packed.size > DIGIT_BITS << log_size:
        raise ValueError(f"{packed.size} bytes are too long for 2^{log_size} digits")
    digits = np.zeros(1 << log_size, "<u4")
    digits.view(np.uint8)[: packed.size] = packed
    values = np.empty(1 << log_size, np.uint64)
    basis_change_kernels.to_novel_basis(digits, *_steps(log_size), values)
    additive_fft_kernels.evaluate(values, *_factors())
    return values


def inverse(values: Words) -> Words:
    """The digits that have these values, as elements of the field of at most 63 bits each, in place of the values."""
    log_size = values.size.bit_length() - 1
    additive_fft_kernels.interpolate(values, *_factors())
    basis_change_kernels.from_novel_basis(values, *_steps(log_size))
    return values


def wrap_reach(log_size: int) -> int:
    """Where the highest wrapped copy begins, in digits: the largest 2^j below 2^k with odd (k over j).

    It is 1 if k is a power of two, at most a quarter of the length for other even k, and half of it for odd k.
    """
    # Lucas: (k over j) is odd just if k has all the bits of j.
    return max(1 << j for j in range(log_size) if j & ~log_size == 0)


def product_window(a: Words, b: Words, first_bit: int, bits: int) -> bytes:
    """Some bits of the product of two binary polynomials, packed, from their transforms; `a` is spoilt.

    Bits that do not fill a byte are zero. The caller sees to it that nothing is wrapped into them: see `wrap_reach`.
    """
    additive_fft_kernels.multiply_all(a, b)
    coefficients = inverse(a)
    first, shift = divmod(first_bit, DIGIT_BITS)
    count = (shift + bits + DIGIT_BITS - 1) // DIGIT_BITS
    # window[i + 1] is coefficient first + i; its upper half belongs to the digit above it.
    window = np.zeros(count + 2, np.uint64)
    present = coefficients[max(first - 1, 0) : first + count]
    window[max(1 - first, 0) :][: present.size] = present
    digits = window[1:] & np.uint64(0xFFFFFFFF) ^ window[:-1] >> np.uint64(DIGIT_BITS)
    aligned = (digits[:-1] | digits[1:] << np.uint64(DIGIT_BITS)) >> np.uint64(shift)
    packed: NDArray[np.uint8] = aligned.astype("<u4").view(np.uint8)[: (bits + 7) // 8]
    if bits % 8:
        packed[-1] &= (1 << bits % 8) - 1
    return packed.tobytes()
