"""How much is leased ahead: enough that nobody waits, and no more than a crash may burn."""

from math import e

import pytest

from keyhop.network.leasing.demand import (
    AHEAD_S,
    BROUGHT_OVER_S,
    BURN_S,
    HASTE_S,
    LEAST_UNITS,
    MOST_UNITS,
    PEAK_DECAY_S,
    READY_UNITS,
    Demand,
)
from keyhop.testing.virtual import VirtualClock


def used(
    *, brought_per_s: float = 0.0, block_units: int = 100, taken_per_s: float = 0.0, units: int = 4, seconds: float = 60
) -> tuple[Demand, VirtualClock]:
    """A demand and a link that went on for some time."""
    clock = VirtualClock()
    demand = Demand(clock)
    blocks, requests = int(seconds * brought_per_s / block_units), int(seconds * taken_per_s / units)
    events = [(seconds * n / blocks, True) for n in range(1, blocks + 1)]
    events += [(seconds * n / requests, False) for n in range(1, requests + 1)]
    start = clock.monotonic()
    for at, is_block in sorted(events):
        clock.advance(max(start + at - clock.monotonic(), 0.0))
        if is_block:
            demand.brought(block_units)
        else:
            demand.took(units)
            demand.lease_units()
    return demand, clock


def test_at_first_a_lease_holds_one_key() -> None:
    assert Demand(VirtualClock()).lease_units() == LEAST_UNITS


@pytest.mark.parametrize("per_s", [400, 4_000, 100_000])
def test_what_the_link_brings_is_leased_a_quarter_of_a_second_ahead(per_s: float) -> None:
    demand, _ = used(brought_per_s=per_s, block_units=int(per_s) // 4, taken_per_s=per_s, seconds=5)
    assert demand.lease_units() == pytest.approx(AHEAD_S * per_s, rel=0.1)


@pytest.mark.parametrize("units", [1, 4, 64])
@pytest.mark.parametrize("taken_per_s", [0.5, 15.0, 1000.0])
@pytest.mark.parametrize("block_units", [16, 64, 400])
def test_on_a_slow_link_no_more_is_leased_than_it_brings_in_two_seconds(
    units: int, taken_per_s: float, block_units: int
) -> None:
    """1 kbit/s are 16 units a second; short of one key, and of a hundredth of a second's demand."""
    demand, _ = used(brought_per_s=16, block_units=block_units, taken_per_s=taken_per_s, units=units)
    per_s = 16 * (1 + block_units / 160)  # just after a block the average is a bit over what it will be
    assert demand.lease_units() <= max(BURN_S * per_s, HASTE_S * 1.5 * taken_per_s, LEAST_UNITS)


def test_from_stock_a_hundredth_of_a_second_is_leased_ahead() -> None:
    demand, _ = used(taken_per_s=80_000, seconds=2)
    assert demand.lease_units() == pytest.approx(HASTE_S * 80_000, rel=0.1)


def test_the_next_request_of_the_same_size_finds_its_bytes_where_the_link_brings_them() -> None:
    demand, clock = used(brought_per_s=4_000, taken_per_s=10, units=500, seconds=30)
    clock.advance(20.0)
    demand.took(500)
    demand.brought(100_000)
    assert demand.lease_units() >= 500


def test_a_rise_is_followed_at_once_and_a_fall_slowly() -> None:
    demand, clock = used(brought_per_s=100_000, block_units=10_000, taken_per_s=1_000, seconds=5)
    for _ in range(10):
        clock.advance(0.01)
        demand.took(1_000)
        demand.lease_units()
    assert demand.lease_units() == pytest.approx(AHEAD_S * 100_000, rel=0.3)
    clock.advance(PEAK_DECAY_S)
    assert 5_000 < demand.lease_units() < 15_000
    clock.advance(20 * PEAK_DECAY_S)
    assert demand.lease_units() == 1_000


def test_what_a_link_brings_is_averaged_and_fades_when_it_stops() -> None:
    demand, clock = used(brought_per_s=4_000, block_units=1_000)
    assert demand.bringing() == pytest.approx(4_000, rel=0.05)
    before = demand.lease_units()
    clock.advance(BROUGHT_OVER_S)
    assert demand.bringing() == pytest.approx(4_000 / e, rel=0.05)
    assert demand.lease_units() == before
    clock.advance(1e6)
    assert demand.bringing() == pytest.approx(0.0, abs=1e-6)


def test_a_link_that_has_brought_nothing_brings_nothing() -> None:
    demand, clock = used()
    assert demand.bringing() == 0.0
    clock.advance(5.0)
    assert demand.bringing() == 0.0


def test_a_follower_far_away_has_more_leased_ahead() -> None:
    near, _ = used(brought_per_s=100_000, block_units=10_000, taken_per_s=1_000, seconds=5)
    far, _ = used(brought_per_s=100_000, block_units=10_000, taken_per_s=1_000, seconds=5)
    for _ in range(40):
        far.answered(0.09)
    assert far.lease_units() - near.lease_units() == pytest.approx(4 * 0.09 * 1_000, rel=0.1)


def test_from_stock_the_trips_to_a_follower_far_away_are_leased_ahead() -> None:
    demand, _ = used(taken_per_s=80_000, seconds=2)
    for _ in range(40):
        demand.answered(0.09)
    assert demand.lease_units() == pytest.approx((HASTE_S + 4 * 0.09) * 80_000, rel=0.1)


def test_four_pads_of_relayed_keys_are_ready_where_a_link_brings_enough() -> None:
    demand, _ = used(brought_per_s=1_000, seconds=30)
    assert demand.lease_units() == READY_UNITS


def test_a_lease_has_a_bound() -> None:
    demand, clock = used(brought_per_s=1e9, block_units=10**8, seconds=1)
    demand.took(10**9)
    clock.advance(0.01)
    assert demand.lease_units() == MOST_UNITS
