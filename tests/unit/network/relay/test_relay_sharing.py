"""Secrets as shares: any that are enough give the secret, and fewer are equally well shares of any other one."""

from itertools import combinations, product

import pytest

from keyhop.core.xor import xor
from keyhop.network.relay import sharing
from keyhop.network.relay.sharing import combined, split
from keyhop.testing.virtual import SeededEntropy

SECRET = SeededEntropy(1).token(1000)
SCHEMES = [(count, threshold) for count in range(2, 9) for threshold in range(2, count + 1)]


class Chosen:
    """The bytes that a test wants."""

    def __init__(self, *tokens: bytes) -> None:
        self._tokens = list(tokens)

    def token(self, size: int) -> bytes:
        token = self._tokens.pop(0)
        assert len(token) == size
        return token


def test_one_share_is_the_secret() -> None:
    assert split(SECRET, 1, 1, Chosen()) == [SECRET]
    assert combined({0: SECRET}, 1) == SECRET


@pytest.mark.parametrize(("count", "threshold"), SCHEMES)
def test_any_shares_that_are_enough_give_the_secret(count: int, threshold: int) -> None:
    shares = split(SECRET, count, threshold, SeededEntropy(2))
    for chosen in combinations(range(count), threshold):
        assert combined({share: shares[share] for share in chosen}, count) == SECRET


@pytest.mark.parametrize(("count", "threshold"), SCHEMES)
def test_one_altered_share_gives_another_secret(count: int, threshold: int) -> None:
    shares = split(SECRET, count, threshold, SeededEntropy(2))
    shares[1] = bytes([shares[1][0] ^ 1]) + shares[1][1:]
    assert combined(dict(enumerate(shares[:threshold])), count) != SECRET


@pytest.mark.parametrize(("count", "threshold"), [(2, 2), (3, 2)])
def test_one_share_is_there_equally_often_for_every_secret(count: int, threshold: int) -> None:
    for share in range(count):
        for secret in (b"\x00", b"\x01", b"\xff"):
            seen = {split(secret, count, threshold, Chosen(bytes([r])))[share] for r in range(256)}
            assert len(seen) == 256


def test_two_shares_of_three_that_are_needed_are_there_equally_often_for_every_secret() -> None:
    some = range(0, 256, 5)
    for one, other in combinations(range(4), 2):
        every = [split(b"\x5a", 4, 3, Chosen(bytes([r]), bytes([s]))) for r, s in product(range(256), some)]
        assert len({(shares[one], shares[other]) for shares in every}) == 256 * len(some)


def test_a_table_is_the_product_with_its_constant() -> None:
    assert sharing.product(0x57, 0x83) == 0xC1  # FIPS 197, section 4.2
    assert all(sharing.product(a, sharing._inverse(a)) == 1 for a in range(1, 256))
    assert bytes(range(256)).translate(sharing._table(0x57))[0x13] == 0xFE  # FIPS 197, section 4.2.1


def test_the_xor_of_two_strings() -> None:
    assert xor(b"\x00\x0f\xff", b"\x00\xf0\x0f") == b"\x00\xff\xf0"
