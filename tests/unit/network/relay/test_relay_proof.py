"""What is proven is what was sent: whatever is shifted in the secret or altered in the announcement is found out."""

from random import Random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.xor import xor
from keyhop.network.relay.guard import guard, multiplied
from keyhop.network.relay.proof import check_of, proven, secret_of
from keyhop.testing.virtual import SeededEntropy

DATA, OUTER, HEADER = bytes(range(200)), bytes(range(100, 132)), b"header"
SECRET = secret_of(DATA, SeededEntropy(1))
CHECK = check_of(SECRET, OUTER, HEADER)
FIELD = st.integers(0, (1 << 128) - 1)


def by_hand(left: int, right: int) -> int:
    """The schoolbook product in GF(2^128)."""
    result = 0
    for bit in range(128):
        if right >> bit & 1:
            result ^= left << bit
    for bit in range(254, 127, -1):
        if result >> bit & 1:
            result ^= ((1 << 128) | 0x87) << (bit - 128)
    return result


@given(FIELD, FIELD)
def test_products_are_those_of_the_field(left: int, right: int) -> None:
    assert multiplied(left, right) == by_hand(left, right)


@given(FIELD, FIELD, FIELD)
def test_the_guard_is_its_polynomial(a: int, b: int, x: int) -> None:
    powers = [1]
    for _ in range(5):
        powers.append(by_hand(powers[-1], x))
    expected = powers[5] ^ by_hand(b, powers[2]) ^ by_hand(a, powers[1])
    assert guard(a.to_bytes(16) + b.to_bytes(16), x.to_bytes(16)) == expected.to_bytes(16)


def test_what_was_sent_is_proven() -> None:
    assert proven(SECRET, OUTER, HEADER, CHECK) == DATA


def test_every_single_bit_that_is_shifted_is_found_out() -> None:
    for bit in range(8 * len(SECRET)):
        shifted = xor(SECRET, (1 << bit).to_bytes(len(SECRET)))
        with pytest.raises(InvalidSignature):
            proven(shifted, OUTER, HEADER, CHECK)


def test_shifts_of_any_part_of_the_secret_are_found_out() -> None:
    random = Random(1)
    for _ in range(2000):
        shift = bytearray(len(SECRET))
        start = random.choice((0, 16, 32, 48, 64))
        for _ in range(random.randrange(1, 40)):
            shift[random.randrange(start, len(SECRET))] ^= random.randrange(1, 256)
        if any(shift):
            with pytest.raises(InvalidSignature):
                proven(xor(SECRET, bytes(shift)), OUTER, HEADER, CHECK)


def test_a_shifted_key_is_found_out_although_the_tags_are_right() -> None:
    shifted = bytes([SECRET[0] ^ 1]) + SECRET[1:]
    check = check_of(shifted, OUTER, HEADER)
    with pytest.raises(InvalidSignature):
        proven(shifted, OUTER, HEADER, check)


def test_a_node_that_knows_the_secret_does_not_know_the_outer_key() -> None:
    forged = secret_of(bytes(reversed(DATA)), SeededEntropy(2))
    with pytest.raises(InvalidSignature):
        proven(forged, OUTER, HEADER, CHECK)


@pytest.mark.parametrize(
    ("outer", "header", "check"),
    [
        (bytes(32), HEADER, CHECK),
        (OUTER, b"Header", CHECK),
        (OUTER, HEADER, bytes(16)),
        (OUTER, HEADER, b""),
        (OUTER, HEADER, CHECK[:8]),
    ],
)
def test_an_altered_announcement_is_found_out(outer: bytes, header: bytes, check: bytes) -> None:
    with pytest.raises(InvalidSignature):
        proven(SECRET, outer, header, check)


def test_the_check_is_both_tags_and_tells_nothing_by_itself() -> None:
    tags = [Poly1305.generate_tag(key, HEADER + DATA) for key in (SECRET[:32], OUTER)]
    assert xor(*tags) == CHECK
    assert CHECK not in tags
