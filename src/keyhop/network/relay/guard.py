"""A code that shows whether somebody has shifted a 32-byte key that he does not know.

Whoever alters one share of a secret shifts the secret by an XOR of his choice, without knowing what comes out. The
proof of a MAC does not hold for a key that is shifted with its message: to shift the r of Poly1305 is a change of
variable in its polynomial, which another message may undo. So the key is guarded by an algebraic manipulation
detection code (Cramer, Dodis, Fehr, Padró and Wichs, Eurocrypt 2008, with d = 3 and a third coefficient of zero): for
the key's halves a and b and a random x, all of them in GF(2^128),

    guard = x^5 + b·x^2 + a·x

Shifted by (Δa, Δb, Δx, Δguard), this is true for the roots of a polynomial in x: of degree 4 when Δx ≠ 0, because 5 is
odd; of degree 1 or 2 when only the key was shifted. So it happens for 4 values of x out of 2^128 at most.
"""

_BITS = 128
_DIGITS = bytes.maketrans(b"01", b"\x00\x01")
_PARITY = bytes(b"01"[count & 1] for count in range(256))


def guard(key: bytes, salt: bytes) -> bytes:
    """Of a key of 32 bytes and a random salt of 16: 16 bytes, as secret as they are."""
    a, b, x = (int.from_bytes(part) for part in (key[:16], key[16:], salt))
    square = multiplied(x, x)
    inner = multiplied(square, square) ^ multiplied(b, x) ^ a
    return multiplied(inner, x).to_bytes(16)


def multiplied(left: int, right: int) -> int:
    """The product in GF(2^128), by x^128 + x^7 + x^2 + x + 1."""
    product = _carry_less(left, right)
    for _ in range(2):
        high = product >> _BITS
        product = (product & ((1 << _BITS) - 1)) ^ high ^ high << 1 ^ high << 2 ^ high << 7
    return product


def _carry_less(left: int, right: int) -> int:
    """One byte for each bit: then the product of integers counts, without a carry, what an XOR needs the parity of."""
    return int((_spread(left) * _spread(right)).to_bytes(2 * _BITS).translate(_PARITY), 2)


def _spread(number: int) -> int:
    return int.from_bytes(format(number, f"0{_BITS}b").encode().translate(_DIGITS))
