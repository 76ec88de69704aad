"""Cascade: both sides in lock step, what they disclose, and what a broken or lying side can do."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from keyhop.core.errors import PeerError
from keyhop.link.bb84.reconciliation import Bits, Reconciliation
from keyhop.link.bb84.reconciliation import cascade as cascade_module
from keyhop.link.bb84.reconciliation.cascade import Cascade

SEED = b"public"
HEADER_BYTES = 8


def pair(
    size: int, error_rate: float, estimate: float | None = None, *, draw: int = 1
) -> tuple[Cascade, Cascade, Bits]:
    """Two sides whose bits differ by the errors that are returned."""
    rng = np.random.default_rng(draw)
    reference = rng.integers(0, 2, size, np.uint8)
    errors = (rng.random(size) < error_rate).astype(np.uint8)
    qber = error_rate if estimate is None else estimate
    return Cascade("reference", reference, qber, SEED), Cascade("correcting", reference ^ errors, qber, SEED), errors


def converse(alice: Reconciliation, bob: Reconciliation) -> tuple[list[bytes], list[bytes]]:
    """Carries the messages until both are done; returns those of each."""
    sent: tuple[list[bytes], list[bytes]] = ([], [])
    from_alice, from_bob = alice.start(), bob.start()
    while from_alice:
        sent[0].extend(from_alice)
        sent[1].extend(from_bob)
        from_alice, from_bob = alice.received(from_bob[0]), bob.received(from_alice[0])
    assert alice.done
    assert bob.done
    assert not from_bob
    return sent


def entropy_bits(rate: float) -> float:
    return -(rate * math.log2(rate) + (1 - rate) * math.log2(1 - rate))


@pytest.mark.parametrize("size", [1_000, 1_001, 4_095, 65_536, 65_537, 300_001])
@pytest.mark.parametrize("error_rate", [0.0, 0.01, 0.05, 0.12])
def test_both_sides_end_with_the_reference_bits_and_know_the_errors(size: int, error_rate: float) -> None:
    alice, bob, errors = pair(size, error_rate)
    converse(alice, bob)
    assert np.array_equal(bob.bits, alice.bits)
    assert np.array_equal(alice.error_positions, np.flatnonzero(errors))
    assert np.array_equal(bob.error_positions, np.flatnonzero(errors))
    assert alice.disclosed_bits == bob.disclosed_bits
    assert sum(alice.frames) == size
    assert max(alice.frames) - min(alice.frames) <= 1
    assert alice.wrong_frames == ()


@pytest.mark.parametrize("error_rate", [0.01, 0.02, 0.03, 0.05])
def test_efficiency_over_some_dozens_of_frames(error_rate: float) -> None:
    """f = disclosed / (n h(Q)). The original Cascade has about 1.16 at 2 % in the reference implementation of
    Martinez-Mateo, Pacher, Peev, Ciurana and Martin (2015). Comparable in the definition of f and the channel (errors
    independent, the rate known beforehand); their frames are shorter, and searched one after the other.
    """
    alice, bob, errors = pair(32 * 65_536, error_rate)
    converse(alice, bob)
    assert 1.0 < alice.disclosed_bits / (errors.size * entropy_bits(errors.mean())) < 1.06
    assert np.array_equal(bob.bits, alice.bits)


@pytest.mark.parametrize(("error_rate", "estimate"), [(0.03, 0.0), (0.12, 0.01), (0.001, 0.5), (0.12, 0.5)])
def test_a_wrong_estimate_costs_parities_but_no_errors(error_rate: float, estimate: float) -> None:
    alice, bob, _ = pair(50_000, error_rate, estimate)
    converse(alice, bob)
    assert np.array_equal(bob.bits, alice.bits)


def test_without_errors_it_ends_once_all_blocks_and_subsets_were_compared() -> None:
    alice, bob, _ = pair(65_536, 0.0, 0.02)
    converse(alice, bob)
    first, second, third, subsets = 65_536 // 32, 65_536 // 256 - 1, 65_536 // 8_192 - 1, 16
    assert alice.disclosed_bits == first + second + third + subsets
    assert alice.waves == 4
    assert alice.error_positions.size == 0


def test_disclosed_bits_are_the_parities_that_were_sent() -> None:
    alice, bob, _ = pair(200_000, 0.02)
    sent = converse(alice, bob)[0]
    assert alice.disclosed_bits == sum(int.from_bytes(message[4:8], "little") for message in sent)
    assert len(sent) == alice.waves


def test_disclosed_bits_are_not_less_than_the_rank_of_the_parities() -> None:
    """Which parities are asked for depends on the errors alone, so the messages of a side that holds a single 1, for
    every place of that 1, are the columns of the matrix that maps reference bits to disclosed parities.
    """
    size, draw = 1_000, 3
    alice, bob, errors = pair(size, 0.04, draw=draw)
    sums = [_parities(a) ^ _parities(b) for a, b in zip(*converse(alice, bob), strict=True)]
    columns = []
    for place in range(size):
        bits = np.zeros(size, np.uint8)
        bits[place] = 1
        side = Cascade("reference", bits, 0.04, SEED)
        own = side.start()
        column = shift = 0
        for total in sums:
            message = own[0]
            column |= _parities(message) << shift
            shift += int.from_bytes(message[4:8], "little")
            theirs = (_parities(message) ^ total).to_bytes(len(message) - HEADER_BYTES, "little")
            own = side.received(message[:HEADER_BYTES] + theirs)
        assert side.done
        columns.append(column)
    rank = _rank(columns)
    assert errors.sum() > 20
    assert rank <= alice.disclosed_bits <= rank + 40
    assert shift == alice.disclosed_bits


def _parities(message: bytes) -> int:
    return int.from_bytes(message[HEADER_BYTES:], "little")


def _rank(vectors: list[int]) -> int:
    """Over GF(2)."""
    pivots: dict[int, int] = {}
    for vector in vectors:
        left = vector
        while left and left.bit_length() in pivots:
            left ^= pivots[left.bit_length()]
        if left:
            pivots[left.bit_length()] = left
    return len(pivots)


def test_the_same_round_gives_the_same_messages_and_another_seed_others() -> None:
    messages = [converse(*pair(30_000, 0.02)[:2]) for _ in range(2)]
    assert messages[0] == messages[1]
    rng = np.random.default_rng(5)
    bits = rng.integers(0, 2, 30_000, np.uint8)
    noisy: Bits = np.bitwise_xor(bits, (rng.random(30_000) < 0.02).astype(np.uint8))
    by_seed = [
        converse(Cascade("reference", bits, 0.02, seed), Cascade("correcting", noisy, 0.02, seed))[0]
        for seed in (b"a", b"b")
    ]
    assert by_seed[0] != by_seed[1]


def test_nothing_is_accepted_before_the_start() -> None:
    alice, bob, _ = pair(2_000, 0.02)
    first = bob.start()[0]
    with pytest.raises(PeerError, match="out of turn"):
        alice.received(first)


def test_nothing_is_accepted_after_the_end() -> None:
    alice, bob, _ = pair(2_000, 0.02)
    last = converse(alice, bob)[1][-1]
    with pytest.raises(PeerError, match="out of turn"):
        alice.received(last)


def test_a_repeated_message_is_refused_and_the_right_one_still_accepted() -> None:
    alice, bob, errors = pair(40_000, 0.02)
    from_alice, from_bob = alice.start(), bob.start()
    while from_alice:
        repeated = from_bob[0]
        from_alice, from_bob = alice.received(repeated), bob.received(from_alice[0])
        with pytest.raises(PeerError):
            alice.received(repeated)
    assert np.array_equal(alice.error_positions, np.flatnonzero(errors))


@pytest.mark.parametrize(
    "broken",
    [
        lambda message: b"",
        lambda message: message[:7],
        lambda message: message[:-1],
        lambda message: message + b"\0",
        lambda message: b"\1" + message[1:],
        lambda message: message[:4] + bytes([message[4] ^ 1]) + message[5:],
        lambda message: message[:-1] + bytes([message[-1] | 0x80]),
    ],
    ids=["empty", "half a header", "short", "long", "another wave", "another number", "bits after the last"],
)
def test_a_malformed_message_is_refused(broken: Callable[[bytes], bytes]) -> None:
    alice, bob, _ = pair(40_040, 0.02)  # 1,252 parities
    alice.start()
    message = bob.start()[0]
    assert int.from_bytes(message[4:8], "little") % 8, "the last byte must have room for bits that do not belong there"
    with pytest.raises(PeerError, match="Cascade"):
        alice.received(broken(message))


def test_waves_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade_module, "MAX_WAVES", 5)
    alice, bob, _ = pair(40_000, 0.05)
    with pytest.raises(PeerError, match="not done after 5 waves"):
        converse(alice, bob)
    assert alice.done


def test_the_opposite_bits_do_not_make_it_endless() -> None:
    zeros, ones = np.zeros(1_000, np.uint8), np.ones(1_000, np.uint8)
    alice, bob = Cascade("reference", zeros, 0.12, SEED), Cascade("correcting", ones, 0.12, SEED)
    converse(alice, bob)
    assert alice.disclosed_bits >= 100


@pytest.mark.parametrize(
    "bits",
    [np.zeros(999, np.uint8), np.zeros(2_000, np.int64), np.zeros((2, 2_000), np.uint8)],
    ids=["too few", "not uint8", "two dimensions"],
)
def test_other_arrays_are_refused(bits: Bits) -> None:
    with pytest.raises(ValueError, match="bits"):
        Cascade("reference", bits, 0.02, SEED)
