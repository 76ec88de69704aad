"""SBR and QBER over the last seconds."""

import pytest

from keyhop.link.meter import MAX_AGE_S, MIN_BURSTS, WINDOW_S, Meter


def test_before_the_first_block() -> None:
    meter = Meter(5.0)
    assert (meter.sbr_bps(5.0), meter.qber(5.0)) == (0.0, None)


def test_a_single_block_was_made_since_the_start() -> None:
    meter = Meter(1.0)
    meter.add(2.0, 1000, 0.02)
    assert meter.sbr_bps(3.0) == 4000.0
    assert meter.qber(3.0) == 0.02


def test_blocks_that_come_one_by_one() -> None:
    meter = Meter(0.0)
    for number in range(100):
        meter.add(5.0 + number * 0.1, 1000, 0.02 if number % 2 else 0.04)
    assert meter.sbr_bps(14.9) == pytest.approx(80_000)
    assert meter.qber(14.9) == pytest.approx(0.03)


@pytest.mark.parametrize("since_last_s", [0.0, 2.0, 3.9])
def test_rounds_of_many_blocks_between_which_nothing_comes(since_last_s: float) -> None:
    """Neither how many rounds the window happens to hold nor when one looks changes the figure."""
    meter = Meter(0.0)
    for round_number in range(6):
        for block in range(10):
            meter.add(4.0 * round_number + 0.002 * block, 1000, 0.03)
    assert meter.sbr_bps(20.018 + since_last_s) == pytest.approx(20_000)


def test_it_falls_when_nothing_comes_any_more() -> None:
    meter = Meter(0.0)
    for number in range(20):
        meter.add(float(number), 1000, 0.03)
    rates = [meter.sbr_bps(19.0 + silent_s) for silent_s in (0.0, 1.0, 3.0, 10.0, MAX_AGE_S)]
    assert rates[0] == rates[1] == pytest.approx(8000)
    assert rates == sorted(rates, reverse=True)
    assert rates[3] < 4000
    assert rates[-1] < 500
    assert (meter.sbr_bps(19.0 + MAX_AGE_S + 1), meter.qber(19.0 + MAX_AGE_S + 1)) == (0.0, None)


def test_what_is_older_than_the_window_counts_only_where_little_else_came() -> None:
    fast, slow = Meter(0.0), Meter(0.0)
    for number in range(30):
        fast.add(float(number), 1000 if number < 15 else 3000, 0.03)
    for number in range(MIN_BURSTS):
        slow.add(WINDOW_S * (number + 1), 1000, 0.03)
    assert fast.sbr_bps(29.0) == pytest.approx(24_000)
    assert slow.sbr_bps(WINDOW_S * MIN_BURSTS) == pytest.approx(8000 / WINDOW_S)
