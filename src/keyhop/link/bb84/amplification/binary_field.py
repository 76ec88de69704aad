"""The field with 2^64 elements in plain integers: slow, for tables and as what the fast products are checked against.

An element is an integer whose bit i is the coefficient of x^i, modulo x^64 + x^4 + x^3 + x + 1.
"""

from functools import cache

DEGREE = 64
MODULUS = (1 << 64) | 0x1B


def multiply(a: int, b: int) -> int:
    """The product of two elements."""
    product = 0
    while b:
        lowest = b & -b
        product ^= a * lowest
        b ^= lowest
    while (excess := product.bit_length() - 1 - DEGREE) >= 0:
        product ^= MODULUS << excess
    return product


@cache
def cantor_basis(length: int) -> tuple[int, ...]:
    """Elements with b_0 = 1 and b_i^2 + b_i = b_(i-1), at most 64 (D. Cantor, J. Comb. Theory A 50 (1989) 285).

    Sums of the first k of them are the roots of a sparse polynomial: that makes the additive transform cheap.
    """
    if not 1 <= length <= DEGREE:
        raise ValueError(f"a Cantor basis of this field has 1 to {DEGREE} elements, not {length}")
    # From the far end it is only squaring; half of all elements, and so some power of x, start a whole chain.
    for power in reversed(range(DEGREE)):
        chain = [1 << power]
        while chain[-1] > 1:
            chain.append(multiply(chain[-1], chain[-1]) ^ chain[-1])
        if len(chain) == DEGREE:
            return tuple(reversed(chain))[:length]
    raise AssertionError("the powers of x span the field")
