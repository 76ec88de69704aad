"""How much light comes through, and how much comes that nobody sent."""

import math
from dataclasses import replace

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.link.bb84.optics.channel import (
    background_counts_per_gate,
    fibre_attenuation_db_per_km,
    free_space_loss_db,
    line_loss_db,
    line_transmittance,
    raman_power_w,
    receiver_transmittance,
)
from keyhop.link.bb84.optics.detectors import error_probability, live_step_slots, noise_probability
from keyhop.link.bb84.optics.options import (
    ChannelOptions,
    ClassicalChannelOptions,
    DetectorOptions,
    FibreOptions,
    FreeSpaceOptions,
    SourceOptions,
    check_channel,
    check_detectors,
    check_source,
)

FIBRE = ChannelOptions(medium="fibre", fibre=FibreOptions(length_km=50))
DATA = ClassicalChannelOptions(launch_power_dbm=0.0, wavelength_nm=1550.0, raman_per_km_nm=3e-9, filter_width_nm=0.2)


@pytest.mark.parametrize(
    ("wavelength_nm", "typical", "most"),
    # Typical: data sheets of G.652.D fibre. Most: ITU-T G.652 (11/2016), table 2.
    [(1310, 0.32, 0.40), (1383, 0.27, 0.40), (1550, 0.20, 0.30), (1565, 0.20, 0.30), (1625, 0.23, 0.40)],
)
def test_fibre_attenuates_as_standard_fibre_does(wavelength_nm: float, typical: float, most: float) -> None:
    attenuation = fibre_attenuation_db_per_km(wavelength_nm)
    assert attenuation == pytest.approx(typical, abs=0.015)
    assert attenuation < most


def test_fibre_attenuates_least_in_the_c_band() -> None:
    assert 1530 <= min(range(1260, 1676), key=fibre_attenuation_db_per_km) <= 1580


def test_loss_follows_length_and_wavelength_or_what_was_measured() -> None:
    assert line_loss_db(FIBRE) == pytest.approx(9.9, abs=0.1)
    assert line_loss_db(replace(FIBRE, wavelength_nm=1310.0)) == pytest.approx(16, abs=0.1)
    measured = replace(FIBRE, fibre=FibreOptions(length_km=50, attenuation_db_per_km=0.16))
    assert line_loss_db(measured) == pytest.approx(8)
    assert line_transmittance(measured, extra_loss_db=2.0) == pytest.approx(0.1)


def test_free_space_loses_what_the_beam_spreads_beyond_the_telescope() -> None:
    # 0.1 m + 0.1 mrad x 9 km = 1 m wide, of which 0.1 m are caught: 20 dB.
    options = FreeSpaceOptions(
        distance_km=9,
        divergence_mrad=0.1,
        transmitter_aperture_m=0.1,
        receiver_aperture_m=0.1,
        attenuation_db_per_km=0.5,
        pointing_loss_db=1,
    )
    assert free_space_loss_db(options) == pytest.approx(20 + 4.5 + 1)
    assert line_loss_db(ChannelOptions(medium="free-space", free_space=options)) == pytest.approx(25.5)
    assert free_space_loss_db(replace(options, receiver_aperture_m=2)) == pytest.approx(5.5)  # all of it is caught


def test_drift_goes_up_and_back_once_in_its_period() -> None:
    drifting = ChannelOptions(loss_db=10, loss_drift_db=2, loss_drift_period_s=60)
    assert [line_loss_db(drifting, time_s) for time_s in (0, 15, 30, 45, 60)] == pytest.approx([10, 11, 12, 11, 10])
    detectors = DetectorOptions(visibility=0.96, visibility_drift=0.04, visibility_drift_period_s=60)
    assert [error_probability(detectors, t) for t in (0, 30, 60)] == pytest.approx([0.02, 0.04, 0.02])


def test_raman_light_of_equal_wavelengths_follows_the_known_formula() -> None:
    # Eraerds et al. 2010: launched power x attenuation x length x coefficient x filter width.
    options = replace(FIBRE, classical=DATA)
    transmitted = 10 ** (-fibre_attenuation_db_per_km(1550) * 50 / 10)
    assert raman_power_w(options) == pytest.approx(1e-3 * transmitted * 50 * 3e-9 * 0.2)


def test_raman_light_is_gathered_along_the_fibre() -> None:
    options = replace(FIBRE, wavelength_nm=1310.0, classical=DATA)
    steps = 20_000
    data, pulses = (fibre_attenuation_db_per_km(nm) * math.log(10) / 10 for nm in (1550, 1310))
    places = [(step + 0.5) * 50 / steps for step in range(steps)]
    summed = sum(math.exp(-data * z - pulses * (50 - z)) for z in places) * 50 / steps
    assert raman_power_w(options) == pytest.approx(1e-3 * 3e-9 * 0.2 * summed, rel=1e-6)
    assert raman_power_w(replace(options, fibre=FibreOptions(length_km=0))) == 0


def test_background_adds_stray_light_and_half_of_the_raman_photons() -> None:
    detectors = DetectorOptions(efficiency=0.25, gate_width_ns=0.1, dark_count_probability=0)
    options = replace(FIBRE, classical=DATA, insertion_loss_db=3.0, background_counts_per_gate=1e-7)
    photon_j = 1.2816e-19  # at 1550 nm
    photons = raman_power_w(options) / photon_j * 1e-10
    counts = 1e-7 + photons * 0.25 * 10**-0.3 / 2
    assert background_counts_per_gate(options, detectors) == pytest.approx(counts, rel=1e-4)
    assert noise_probability(options, detectors) == pytest.approx(counts, rel=1e-3)
    assert noise_probability(options, detectors, cut=True) == 0
    assert receiver_transmittance(options, detectors) == pytest.approx(0.25 * 10**-0.3)


def test_dark_counts_and_background_do_not_exclude_each_other() -> None:
    options, detectors = ChannelOptions(background_counts_per_gate=0.5), DetectorOptions(dark_count_probability=0.1)
    assert noise_probability(options, detectors) == pytest.approx(1 - 0.9 * math.exp(-0.5))


@pytest.mark.parametrize(("dead_time_ns", "slots"), [(0, 1), (0.5, 1), (1, 1), (1.5, 2), (10, 10), (10.2, 11)])
def test_dead_time_ends_with_the_first_gate_after_it(dead_time_ns: float, slots: int) -> None:
    assert live_step_slots(DetectorOptions(dead_time_ns=dead_time_ns), SourceOptions()) == slots


@pytest.mark.parametrize(
    "source",
    [
        SourceOptions(intensities=(0.4, 0.1), probabilities=(0.5, 0.4, 0.1)),
        SourceOptions(intensities=(0.4,), probabilities=(1.0,)),
        SourceOptions(intensities=(0.1, 0.4)),
        SourceOptions(intensities=(0.4, 0.4)),
        SourceOptions(probabilities=(0.7, 0.2)),
        SourceOptions(intensities=(0.4, 0.0)),
        SourceOptions(intensities=(0.4, 0.3, 0.1), probabilities=(0.5, 0.3, 0.2)),
    ],
)
def test_pulses_without_a_decoy_bound_are_refused(source: SourceOptions) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        check_source(source)
    assert refusal.value.hint


@pytest.mark.parametrize(
    "channel",
    [
        ChannelOptions(fibre=FibreOptions(length_km=50)),
        ChannelOptions(medium="fibre", free_space=FreeSpaceOptions(distance_km=2)),
        replace(FIBRE, wavelength_nm=850.0),
        ChannelOptions(classical=DATA),
    ],
)
def test_lines_that_are_described_twice_or_not_wholly_are_refused(channel: ChannelOptions) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        check_channel(channel)
    assert refusal.value.hint


@pytest.mark.parametrize(
    "detectors", [DetectorOptions(gate_width_ns=1.1), DetectorOptions(visibility=0.5, visibility_drift=0.6)]
)
def test_detectors_that_cannot_be_are_refused(detectors: DetectorOptions) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        check_detectors(detectors, SourceOptions())
    assert refusal.value.hint


def test_what_is_not_configured_is_taken() -> None:
    check_source(SourceOptions())
    check_source(SourceOptions(intensities=(0.5, 0.1, 0.0), probabilities=(0.5, 0.3, 0.2)))
    check_channel(ChannelOptions())
    check_channel(replace(FIBRE, classical=DATA))
    check_channel(ChannelOptions(medium="free-space", free_space=FreeSpaceOptions(distance_km=2)))
    check_detectors(DetectorOptions(), SourceOptions())
