"""The additive Fourier transform: values at the points, and back."""

from functools import reduce
from operator import xor

import numpy as np
import pytest
from numpy.typing import NDArray

from keyhop.link.bb84.amplification import additive_fft_kernels, basis_change_kernels
from keyhop.link.bb84.amplification.additive_fft import inverse, product_window, transform, wrap_reach
from keyhop.link.bb84.amplification.binary_field import cantor_basis, multiply


def random_bytes(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, count, np.uint8)


def value_at(packed: NDArray[np.uint8], point: int) -> int:
    """Horner's rule."""
    value = 0
    for digit in packed.view("<u4")[::-1].tolist():
        value = multiply(value, point) ^ digit
    return value


def point_number(index: int) -> int:
    return reduce(xor, (element for i, element in enumerate(cantor_basis(24)) if index >> i & 1), 0)


@pytest.mark.parametrize("log_size", [4, 5, 6, 7, 8, 9, 11, 12])
def test_values_are_those_at_the_sums_of_the_cantor_basis(log_size: int) -> None:
    packed = random_bytes(4 << log_size)
    values = transform(packed, log_size)
    size = 1 << log_size
    chosen = range(size) if size <= 64 else [0, 1, 2, 15, 16, size // 2 - 1, size // 2, size // 2 + 9, size - 1]
    for index in chosen:
        assert int(values[index]) == value_at(packed, point_number(index))


@pytest.mark.parametrize("log_size", range(4, 20))
def test_the_inverse_brings_the_digits_back(log_size: int) -> None:
    packed = random_bytes(4 << log_size)
    assert np.array_equal(inverse(transform(packed, log_size)), packed.view("<u4"))


def test_a_short_polynomial_is_filled_up_with_zeros() -> None:
    packed = random_bytes(21)
    longer = np.concatenate([packed, np.zeros(64 - 21, np.uint8)])
    assert np.array_equal(transform(packed, 4), transform(longer, 4))


def test_a_polynomial_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        transform(np.zeros(65, np.uint8), 4)


@pytest.mark.parametrize("log_size", [3, 25])
def test_sizes_without_a_transform_are_refused(log_size: int) -> None:
    with pytest.raises(ValueError, match="points"):
        transform(np.zeros(1, np.uint8), log_size)


@pytest.mark.parametrize("log_size", [4, 5, 6, 8])
def test_what_is_too_long_is_wrapped_as_the_vanishing_polynomial_says(log_size: int) -> None:
    """x^(2^k) is the sum of the x^(2^j) below it with odd (k over j), and the highest of those is `wrap_reach`."""
    size = 1 << log_size
    highest = np.zeros(4 * size, np.uint8)
    highest[4 * (size - 1)] = 1
    x = np.zeros(8, np.uint8)
    x[4] = 1
    values = transform(highest, log_size)
    additive_fft_kernels.multiply_all(values, transform(x, log_size))
    wrapped = np.flatnonzero(inverse(values)).tolist()
    pascal = [1]
    for _ in range(log_size):
        pascal = [left + right for left, right in zip([0, *pascal], [*pascal, 0], strict=True)]
    assert wrapped == [1 << j for j in range(log_size) if pascal[j] % 2]
    assert wrapped[-1] == wrap_reach(log_size)


@pytest.mark.parametrize(("first_bit", "bits"), [(0, 1), (0, 992), (1, 70), (31, 33), (32, 64), (63, 300), (500, 491)])
def test_any_window_of_a_product_can_be_had(first_bit: int, bits: int) -> None:
    a, b = random_bytes(62), random_bytes(63)[:62]
    product, factor = 0, int.from_bytes(b.tobytes(), "little")
    for i, bit in enumerate(np.unpackbits(a, bitorder="little").tolist()):
        product ^= (factor << i) * bit
    expected = (product >> first_bit & (1 << bits) - 1).to_bytes((bits + 7) // 8, "little")
    assert product_window(transform(a, 5), transform(b, 5), first_bit, bits) == expected


def test_kernels_can_be_compiled_ahead() -> None:
    basis_change_kernels.warm_up()
    assert basis_change_kernels.from_novel_basis.signatures  # type: ignore[attr-defined]
