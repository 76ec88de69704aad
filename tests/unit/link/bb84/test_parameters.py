"""Planning: expected counts are what was put in; the optimiser finds what is known to be good, and finds it again."""

import math

import pytest

from keyhop.link.bb84.key_length.parameters import Plan, Preparation, expected_counts, expected_yield, optimise


def ten_db(k: float) -> tuple[float, float]:
    """1 GHz systems of the middle class: 10 dB, efficiency 0.2, dark counts 1e-6, e_d = 2 %."""
    seen = -math.expm1(-0.02 * k)
    gain = seen + 2e-6 * (1 - seen)
    return gain, (0.02 * seen + 1e-6) / gain


GOOD = Preparation((0.393, 0.128), (0.58, 0.42), 0.835)


def test_expected_counts_are_pulses_times_shares() -> None:
    counts = expected_counts(1e6, Preparation((0.5, 0.1), (0.75, 0.25), 0.9), (0.04, 0.008), (0.02, 0.05))
    assert counts.n_z == (24_300, 1_620)
    assert counts.m_z == (486, 81)
    assert counts.n_x == (300, 20)
    assert counts.m_x == (6, 1)


def test_dead_time_takes_its_share_of_the_rate_and_not_of_the_key() -> None:
    awake = expected_yield(Plan(ten_db, 1e9, 4_000_000), GOOD)
    slow = expected_yield(Plan(ten_db, 1e9, 4_000_000, dead_time_ns=100), GOOD)
    assert slow.detections_per_s == pytest.approx(1 / (1 / awake.detections_per_s + 100e-9))
    assert slow.key.bits == pytest.approx(awake.key.bits, rel=1e-4)
    assert slow.secret_bps / awake.secret_bps == pytest.approx(slow.detections_per_s / awake.detections_per_s, rel=1e-4)


def test_a_round_has_the_bits_that_were_asked_for() -> None:
    result = expected_yield(Plan(ten_db, 1e9, 4_000_000), GOOD)
    assert sum(result.counts.n_z) == pytest.approx(4_000_000, abs=2)
    assert result.round_s * result.sifted_bps == pytest.approx(4_000_000)


def test_the_optimiser_does_better_than_a_good_guess_and_the_same_each_time() -> None:
    plan = Plan(ten_db, 1e9, 10**6, reconciliation_efficiency=1.04)
    found = optimise(plan)
    assert found.secret_bps == pytest.approx(0.759e6, rel=0.005)  # the regression value of test_finite_key
    assert found.secret_bps > expected_yield(plan, GOOD).secret_bps
    assert optimise(plan) == found


def test_the_optimiser_knows_two_decoys() -> None:
    found = optimise(Plan(ten_db, 1e9, 10**7), decoys=2)
    assert len(found.preparation.intensities) == 3
    assert sum(found.preparation.probabilities) == pytest.approx(1)
    assert found.secret_bps > 1e6


@pytest.mark.parametrize("decoys", [0, 3])
def test_other_numbers_of_decoys_are_refused(decoys: int) -> None:
    with pytest.raises(ValueError, match="one decoy or two"):
        optimise(Plan(ten_db, 1e9, 10**6), decoys=decoys)
