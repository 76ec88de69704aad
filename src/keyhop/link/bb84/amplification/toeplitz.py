"""Privacy amplification: the key is hashed by a random Toeplitz matrix, exactly.

The matrix with r rows and n columns is T[i, j] = t[i - j + n - 1] for a seed t of n + r - 1 random bits, and bit i of
the result is the sum of T[i, j] key[j] over all j, modulo 2. Toeplitz matrices are a universal-2 family, so the
leftover hash lemma holds (M. N. Wegman and J. L. Carter, J. Comput. Syst. Sci. 22 (1981) 265; H. Krawczyk, CRYPTO
'94). The result is bits n - 1 to n + r - 2 of the product of the polynomials t(x) and key(x) over GF(2).
"""

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.amplification.additive_fft import (
    DIGIT_BITS,
    LARGEST,
    SMALLEST,
    product_window,
    transform,
    wrap_reach,
)

MAX_KEY_BITS = 100_000_000


def seed_bytes(key_bits: int, output_bits: int) -> int:
    """The length of a seed, ceil((n + r - 1) / 8). Raises ValueError unless 1 <= r <= n <= MAX_KEY_BITS."""
    if not 1 <= output_bits <= key_bits <= MAX_KEY_BITS:
        raise ValueError(f"{key_bits} bits cannot be hashed to {output_bits}: 1 <= result <= key <= {MAX_KEY_BITS}")
    return (key_bits + output_bits + 6) // 8


def toeplitz_hash(packed_key: NDArray[np.uint8], key_bits: int, seed: bytes, output_bits: int) -> bytes:
    """The first `key_bits` bits of the packed key, hashed to `output_bits` packed bits; bits to fill a byte are zero.

    Seed bit k is in byte k // 8 at position k % 8. Raises ValueError on sizes that cannot be, or that do not match.
    """
    if len(seed) != seed_bytes(key_bits, output_bits):
        raise ValueError(f"the seed has {len(seed)} bytes, not {seed_bytes(key_bits, output_bits)}")
    if packed_key.dtype != np.uint8 or packed_key.shape != ((key_bits + 7) // 8,):
        raise ValueError(f"{key_bits} bits of key are not packed in {packed_key.dtype} of shape {packed_key.shape}")
    key = packed_key
    if key_bits % 8:
        key = packed_key.copy()
        key[-1] &= (1 << key_bits % 8) - 1
    log_size = transform_log_size(key_bits, output_bits)
    seed_values = transform(np.frombuffer(seed, np.uint8), log_size)
    return product_window(seed_values, transform(key, log_size), key_bits - 1, output_bits)


def transform_log_size(key_bits: int, output_bits: int) -> int:
    """The logarithm of the shortest transform that leaves the wanted bits alone.

    Coefficients of the product from 2^k on are added to lower ones, but only up to `wrap_reach` above where a cyclic
    product would put them. Raises ValueError where no transform is long enough.
    """
    seed_digits = -(-(key_bits + output_bits - 1) // DIGIT_BITS)
    product_digits = seed_digits + -(-key_bits // DIGIT_BITS) - 1
    # A coefficient has 63 bits: that before the first wanted digit reaches into it.
    first_wanted = (key_bits - 1) // DIGIT_BITS - 1
    for log_size in range(SMALLEST, LARGEST + 1):
        wrapped = product_digits - (1 << log_size)
        if wrapped <= 0 or (seed_digits <= 1 << log_size and wrapped + wrap_reach(log_size) <= first_wanted):
            return log_size
    raise ValueError(f"no transform for {key_bits} bits hashed to {output_bits}")


def good_key_bits(wanted: int, output_fraction: float) -> int:
    """The key size nearest to `wanted`, by ratio, that fills a transform, where the result is a fraction of it.

    A result that turns out longer than `output_fraction` of the key costs twice the time. Only even logarithms of
    the length leave little room unused. Raises ValueError unless 0 < output_fraction <= 1 and `wanted` is possible.
    """
    if not 0 < output_fraction <= 1 or not 1 <= wanted <= MAX_KEY_BITS:
        raise ValueError(f"no key of about {wanted} bits is hashed to a fraction of {output_fraction}")
    sizes = []
    for log_size in range(SMALLEST, LARGEST + 1, 2):
        # Two digits are lost where product and window do not begin with a digit.
        digits = (1 << log_size) - wrap_reach(log_size) - 3
        sizes.append(min(int(digits * DIGIT_BITS / (1 + output_fraction)), MAX_KEY_BITS))
    return min(sizes, key=lambda size: max(size / wanted, wanted / size))
