"""SBR and QBER over the last seconds."""

import pytest

from keyhop.link.meter import WINDOW_S, Meter


def test_before_the_first_block() -> None:
    meter = Meter(5.0)
    assert (meter.sbr_bps(5.0), meter.qber(5.0)) == (0.0, None)


def test_shortly_after_the_start_the_time_since_then_counts() -> None:
    meter = Meter(0.0)
    meter.add(1.0, 1000, 0.02)
    meter.add(2.0, 1000, 0.04)
    assert meter.sbr_bps(2.0) == 8000.0
    assert meter.qber(2.0) == pytest.approx(0.03)


def test_what_is_older_than_the_window_no_longer_counts() -> None:
    meter = Meter(0.0)
    meter.add(1.0, 1000, 0.02)
    meter.add(9.0, 500, 0.04)
    assert meter.sbr_bps(WINDOW_S + 5) == 8 * 500 / WINDOW_S
    assert meter.qber(WINDOW_S + 5) == 0.04
    assert (meter.sbr_bps(100.0), meter.qber(100.0)) == (0.0, None)
