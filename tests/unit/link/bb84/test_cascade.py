"""Cascade: both sides in lock step, what they disclose, and what a broken or lying side can do."""

import math

import numpy as np
import pytest

from keyhop.core.errors import PeerError
from keyhop.link.bb84.reconciliation import Bits
from keyhop.link.bb84.reconciliation.cascade import Cascade

SEED = b"public"


def pair(
    size: int, error_rate: float, estimate: float | None = None, *, draw: int = 1
) -> tuple[Cascade, Cascade, Bits]:
    """Two sides whose bits differ by the errors that are returned."""
    rng = np.random.default_rng(draw)
    reference = rng.integers(0, 2, size, np.uint8)
    errors = (rng.random(size) < error_rate).astype(np.uint8)
    qber = error_rate if estimate is None else estimate
    return Cascade("reference", reference, qber, SEED), Cascade("correcting", reference ^ errors, qber, SEED), errors


def converse(alice: Cascade, bob: Cascade) -> list[bytes]:
    """Carries the messages until both are done; returns those of the first."""
    sent = []
    from_alice, from_bob = alice.start(), bob.start()
    while from_alice:
        sent += from_alice
        from_alice, from_bob = alice.received(from_bob[0]), bob.received(from_alice[0])
    assert alice.done
    assert bob.done
    assert not from_bob
    return sent


@pytest.mark.parametrize("size", [1_000, 1_001, 4_095, 65_536, 98_305, 300_001])
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


def test_a_message_out_of_turn_is_refused() -> None:
    alice, bob, _ = pair(2_000, 0.02)
    first = bob.start()[0]
    with pytest.raises(PeerError, match="out of turn"):
        alice.received(first)


def test_efficiency_is_near_the_limit() -> None:
    alice, bob, errors = pair(32 * 65_536, 0.02)
    converse(alice, bob)
    rate = errors.mean()
    limit = errors.size * -(rate * math.log2(rate) + (1 - rate) * math.log2(1 - rate))
    assert 1.0 < alice.disclosed_bits / limit < 1.06
