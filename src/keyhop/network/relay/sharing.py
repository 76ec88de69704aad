"""A secret as shares: fewer than the threshold determine nothing of it.

With a threshold of all the shares are random but one, which makes their XOR the secret. Below that it is Shamir's
scheme (1979) for each byte, over GF(2^8) with the polynomial of AES: the secret is a random polynomial's value at 0,
share i its value at i + 1. A product with a constant is one `bytes.translate`.
"""

from collections.abc import Mapping
from functools import lru_cache, reduce

from keyhop.core.entropy import Entropy
from keyhop.core.xor import xor


def split(secret: bytes, count: int, threshold: int, entropy: Entropy) -> list[bytes]:
    """The shares, each as long as the secret."""
    random = [entropy.token(len(secret)) for _ in range(threshold - 1)]
    if threshold == count:
        return [*random, reduce(xor, random, secret)]
    return [_value_at(_point(share), [secret, *random]) for share in range(count)]


def combined(shares: Mapping[int, bytes], count: int) -> bytes:
    """The secret, of as many shares as the threshold says (by their number), which `count` shares were made of."""
    if len(shares) == count:
        return reduce(xor, shares.values())
    points = {_point(share): data for share, data in shares.items()}
    return reduce(xor, (_times(_weight(point, points), data) for point, data in points.items()))


def _point(share: int) -> int:
    return share + 1


def _value_at(point: int, coefficients: list[bytes]) -> bytes:
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = xor(_times(point, value), coefficient)
    return value


def _weight(point: int, points: Mapping[int, bytes]) -> int:
    """Lagrange's, at 0."""
    weight = 1
    for other in points:
        if other != point:
            weight = product(weight, product(other, _inverse(other ^ point)))
    return weight


def _times(constant: int, data: bytes) -> bytes:
    return data if constant == 1 else data.translate(_table(constant))


@lru_cache(maxsize=256)
def _table(constant: int) -> bytes:
    return bytes(product(constant, byte) for byte in range(256))


def product(left: int, right: int) -> int:
    """In GF(2^8), by x^8 + x^4 + x^3 + x + 1."""
    result = 0
    while right:
        if right & 1:
            result ^= left
        left = left << 1 ^ (0x11B if left & 0x80 else 0)
        right >>= 1
    return result


@lru_cache(maxsize=256)
def _inverse(number: int) -> int:
    return next(other for other in range(1, 256) if product(number, other) == 1)
