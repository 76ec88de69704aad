"""The formulas against simpler ones in the limits where those hold."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.link.bb84.optics.expected import expected, transmittance_for_rate
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions

SOURCE = SourceOptions(intensities=(0.5, 0.1, 0.0), probabilities=(0.5, 0.3, 0.2))
losses_db = st.floats(0, 60)
dark_counts = st.floats(1e-9, 1e-2)
dead_times_ns = st.floats(0, 1000)
afterpulses = st.floats(0, 0.2)


@given(losses_db, st.floats(1e-9, 1e-5), st.floats(0.8, 1))
def test_gains_and_errors_are_near_the_textbook_ones(loss_db: float, dark: float, visibility: float) -> None:
    # Ma et al. 2005, equations (10) and (11), for two detectors: Y0 = 2 p_dc.
    detectors = DetectorOptions(dark_count_probability=dark, visibility=visibility)
    found = expected(SOURCE, ChannelOptions(loss_db=loss_db), detectors)
    transmittance, wrong = 0.2 * 10 ** (-loss_db / 10), (1 - visibility) / 2
    assert found.transmittance == pytest.approx(transmittance)
    for mean, gain, error_rate in zip(SOURCE.intensities, found.gains, found.error_rates, strict=True):
        light = 1 - math.exp(-mean * transmittance)
        assert gain == pytest.approx(1 - (1 - dark) ** 2 * (1 - light), rel=1e-6)
        # A double click's random bit, which the textbook leaves out, is off by less than the chance of one.
        double = (light + dark) ** 2
        assert gain * error_rate == pytest.approx(wrong * light + dark, rel=1e-3, abs=double)


@given(losses_db, dark_counts, dead_times_ns)
def test_dead_time_takes_away_what_would_have_fallen_into_it(loss_db: float, dark: float, dead_time_ns: float) -> None:
    channel = ChannelOptions(loss_db=loss_db)
    without = expected(SOURCE, channel, DetectorOptions(dark_count_probability=dark))
    found = expected(SOURCE, channel, DetectorOptions(dark_count_probability=dark, dead_time_ns=dead_time_ns))
    dead_slots = max(0, math.ceil(dead_time_ns - 1e-6) - 1)
    share = 1 / (1 + without.detections_per_s / SOURCE.clock_hz * dead_slots)
    assert found.detections_per_s == pytest.approx(without.detections_per_s * share)
    assert found.gains == pytest.approx([gain * share for gain in without.gains])
    assert found.error_rates == pytest.approx(without.error_rates)
    assert found.double_click_share == pytest.approx(without.double_click_share)


@given(st.floats(20, 60), st.floats(1e-9, 1e-6), st.floats(0, 0.05))
def test_few_afterpulses_add_their_share_and_half_of_it_to_the_errors(
    loss_db: float, dark: float, again: float
) -> None:
    channel = ChannelOptions(loss_db=loss_db)
    without = expected(SOURCE, channel, DetectorOptions(dark_count_probability=dark))
    found = expected(SOURCE, channel, DetectorOptions(dark_count_probability=dark, afterpulse_probability=again))
    clicks = without.detections_per_s
    assert found.detections_per_s == pytest.approx(clicks * (1 + again), rel=2 * again**2 + 0.01 * again + 1e-9)
    errors = found.qber * found.detections_per_s
    assert errors == pytest.approx(without.qber * clicks + again * clicks / 2, rel=2 * again)


@given(losses_db, dark_counts, dead_times_ns, afterpulses)
def test_a_rate_tells_the_transmittance(loss_db: float, dark: float, dead_time_ns: float, again: float) -> None:
    channel = ChannelOptions(loss_db=loss_db)
    detectors = DetectorOptions(dark_count_probability=dark, dead_time_ns=dead_time_ns, afterpulse_probability=again)
    found = expected(SOURCE, channel, detectors)
    transmittance = transmittance_for_rate(SOURCE, channel, detectors, found.detections_per_s)
    again_found = expected(SOURCE, channel, detectors, transmittance=transmittance)
    assert again_found.detections_per_s == pytest.approx(found.detections_per_s, rel=1e-9)
    assert again_found.double_click_share == pytest.approx(found.double_click_share, rel=1e-4)


def test_rates_out_of_reach_give_the_nearest_transmittance() -> None:
    channel, detectors = ChannelOptions(), DetectorOptions()
    assert transmittance_for_rate(SOURCE, channel, detectors, 0.0) == pytest.approx(0, abs=1e-9)
    assert transmittance_for_rate(SOURCE, channel, detectors, 1e12) == pytest.approx(1)


def test_without_any_light_nothing_is_expected() -> None:
    nothing = expected(SOURCE, ChannelOptions(), DetectorOptions(dark_count_probability=0.0), transmittance=0.0)
    assert nothing.detections_per_s == nothing.double_click_share == 0
    assert nothing.error_rates == (0.5, 0.5, 0.5)


def test_default_options_expect_what_they_were_chosen_for() -> None:
    """10 dB, 1 GHz: 6.6 million clicks and 5.2 million sifted Z bits per second at 2 % errors."""
    found = expected(SourceOptions(), ChannelOptions(), DetectorOptions())
    assert found.detections_per_s == pytest.approx(6.59e6, rel=1e-3)
    assert found.sifted_z_per_s == pytest.approx(5.16e6, rel=1e-3)
    assert found.qber == pytest.approx(0.0201, abs=1e-4)
    assert found.double_click_share == pytest.approx(5.19e-4, rel=1e-2)
