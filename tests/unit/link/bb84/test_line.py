"""Detections of an undisturbed, or merely lossy, line against the formulas, within counting noise."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from keyhop.core.errors import ConfigurationError
from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import Disturbance, Eavesdropper
from keyhop.link.bb84.optics.expected import Expectation, expected
from keyhop.link.bb84.optics.line import Detections, SimulatedLine
from keyhop.link.bb84.optics.options import (
    ChannelOptions,
    ClassicalChannelOptions,
    DetectorOptions,
    FibreOptions,
    SourceOptions,
)
from keyhop.link.bb84.optics.pulses import PulseSource

SIGMAS = 4.5
BALANCED = SourceOptions(z_probability=0.6)
TWO_DECOYS = SourceOptions(intensities=(0.5, 0.1, 0.0), probabilities=(0.5, 0.3, 0.2), z_probability=0.6)
DETECTORS = DetectorOptions(z_probability=0.6)
LOSSLESS = ChannelOptions(loss_db=0)
NOISY = DetectorOptions(dark_count_probability=1e-3, z_probability=0.6)
TROUBLED = DetectorOptions(
    dead_time_ns=7.5, afterpulse_probability=0.08, dark_count_probability=1e-3, z_probability=0.6
)
DAZZLED = DetectorOptions(efficiency=1.0, afterpulse_probability=0.2, visibility=0.7, z_probability=0.6)
"""Where everything coincides with everything."""
RAMAN = ChannelOptions(
    medium="fibre", fibre=FibreOptions(length_km=100), classical=ClassicalChannelOptions(launch_power_dbm=10.0)
)


def _pulses(source: SourceOptions) -> PulseSource:
    return PulseSource(source, KeyMaterial(bytes(range(32))), b"run")


def _line(
    source: SourceOptions = BALANCED,
    channel: ChannelOptions = LOSSLESS,
    detectors: DetectorOptions = DETECTORS,
    seed: bytes = b"seed",
) -> SimulatedLine:
    return SimulatedLine(source, channel, detectors, _pulses(source), seed)


def _assert_counts(counted: float, mean: float, what: str = "") -> None:
    assert abs(counted - mean) < SIGMAS * np.sqrt(mean) + 1e-9, f"{what}: {counted} instead of {mean:.0f}"


def _assert_as_expected(
    shown: Sequence[Detections], source: SourceOptions, detectors: DetectorOptions, expectation: Expectation
) -> None:
    """Gains and errors by basis and intensity, rates and double clicks."""
    pulses = shown[-1].end_slot - shown[0].first_slot
    slots, bases, bits, doubles = _columns(shown)
    sent = _pulses(source).states(slots)
    for basis in (0, 1):
        chosen = (source.z_probability, detectors.z_probability)
        share = float(np.prod([chance if basis == 0 else 1 - chance for chance in chosen]))
        for intensity, probability in enumerate(source.probabilities):
            here = (bases == basis) & (sent.bases == basis) & (sent.intensities == intensity)
            clicks = pulses * share * probability * expectation.gains[intensity]
            _assert_counts(int(here.sum()), clicks, f"gain in basis {basis} of intensity {intensity}")
            wrong = int((bits != sent.bits)[here].sum())
            _assert_counts(
                wrong, int(here.sum()) * expectation.error_rates[intensity], f"errors in {basis} of {intensity}"
            )
    seconds = pulses / source.clock_hz
    _assert_counts(len(slots), expectation.detections_per_s * seconds, "detections")
    _assert_counts(int(doubles.sum()), len(slots) * expectation.double_click_share, "double clicks")
    for basis, rate in ((0, expectation.sifted_z_per_s), (1, expectation.sifted_x_per_s)):
        _assert_counts(int(((bases == basis) & (sent.bases == basis)).sum()), rate * seconds, f"sifted in {basis}")


def _columns(
    shown: Sequence[Detections],
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    return (
        np.concatenate([each.slots for each in shown]),
        np.concatenate([each.bases for each in shown]),
        np.concatenate([each.bits for each in shown]),
        np.concatenate([each.doubles for each in shown]),
    )


def _equal(left: Sequence[Detections], right: Sequence[Detections]) -> bool:
    ones, others = _columns(left), _columns(right)
    return all(np.array_equal(ones[column], others[column]) for column in range(4))


@pytest.mark.parametrize("loss_db", [2, 10, 20])
@pytest.mark.parametrize("source", [BALANCED, TWO_DECOYS])
def test_gains_and_errors_are_those_of_the_formulas(source: SourceOptions, loss_db: float) -> None:
    channel = ChannelOptions(loss_db=loss_db)
    shown = _line(source, channel).detect(int(2e6 * 10 ** (loss_db / 10)))
    _assert_as_expected([shown], source, DETECTORS, expected(source, channel, DETECTORS))


@pytest.mark.parametrize(
    "detectors", [NOISY, TROUBLED, replace(TROUBLED, dead_time_ns=0), replace(NOISY, visibility=1), DAZZLED]
)
@pytest.mark.parametrize("channel", [LOSSLESS, ChannelOptions(loss_db=10, insertion_loss_db=3)])
def test_noise_dead_time_and_afterpulses_are_those_of_the_formulas(
    channel: ChannelOptions, detectors: DetectorOptions
) -> None:
    shown = _line(TWO_DECOYS, channel, detectors).detect(10_000_000)
    _assert_as_expected([shown], TWO_DECOYS, detectors, expected(TWO_DECOYS, channel, detectors))


def test_raman_light_of_other_channels_is_background() -> None:
    expectation = expected(BALANCED, RAMAN, DETECTORS)
    assert expectation.qber > 2 * expected(BALANCED, ChannelOptions(loss_db=19.8), DETECTORS).qber  # it matters here
    _assert_as_expected([_line(channel=RAMAN).detect(200_000_000)], BALANCED, DETECTORS, expectation)


def test_neither_detector_clicks_within_the_dead_time() -> None:
    shown = _line(detectors=replace(TROUBLED, dead_time_ns=20.0)).detect(1_000_000)
    assert np.diff(shown.slots).min() == 20


def test_the_bit_of_a_double_click_is_a_fair_coin() -> None:
    bright = replace(DETECTORS, efficiency=1.0)
    shown = _line(detectors=bright).detect(2_000_000)
    sent = _pulses(BALANCED).states(shown.slots[shown.doubles])
    for bit in (0, 1):
        bits = shown.bits[shown.doubles][sent.bits == bit]
        assert len(bits) > 5_000
        assert abs(bits.mean() - 0.5) < SIGMAS * 0.5 / np.sqrt(len(bits))


def test_telling_a_line_often_what_it_suffers_changes_nothing() -> None:
    line = _line()
    shown = []
    for _ in range(2_000):
        line.disturb(Disturbance())
        shown.append(line.detect(100))
    _assert_as_expected(shown, BALANCED, DETECTORS, expected(BALANCED, LOSSLESS, DETECTORS))


def test_afterpulses_come_with_the_first_live_gate_in_the_same_detector() -> None:
    shown = _line(channel=ChannelOptions(loss_db=30), detectors=TROUBLED).detect(30_000_000)
    again = np.flatnonzero(np.diff(shown.slots) == 8)
    _assert_counts(len(again), len(shown.slots) * (0.08 + 0.92 * (2e-3 + 0.33 * 2e-4)))
    same = (shown.bits[again] == shown.bits[again + 1]).mean()
    assert same > 0.97  # all but the few that are no afterpulses


def test_a_line_that_is_cut_has_only_dark_counts() -> None:
    channel = replace(RAMAN, background_counts_per_gate=0.01)
    line = _line(channel=channel, detectors=NOISY)
    line.disturb(Disturbance(cut=True, eavesdropper=Eavesdropper("blinding")))  # she has nothing to work on
    shown = line.detect(5_000_000)
    only_dark = expected(BALANCED, ChannelOptions(), NOISY, transmittance=0.0)
    assert only_dark.qber == pytest.approx(0.5)
    _assert_as_expected([shown], BALANCED, NOISY, only_dark)


def test_without_light_and_dark_counts_there_is_nothing() -> None:
    line = _line(detectors=replace(DETECTORS, dark_count_probability=0.0))
    line.disturb(Disturbance(cut=True))
    assert len(line.detect(1_000_000_000_000).slots) == 0
    line.disturb(Disturbance())
    assert len(line.detect(1_000).slots) > 0


def test_extra_loss_acts_from_the_next_slot_and_ends() -> None:
    line = _line()
    before = line.detect(2_000_000)
    line.disturb(Disturbance(extra_loss_db=6.0))
    worse = line.detect(2_000_000)
    line.disturb(Disturbance())
    after = line.detect(2_000_000)
    normal = expected(BALANCED, LOSSLESS, DETECTORS)
    _assert_as_expected([before], BALANCED, DETECTORS, normal)
    _assert_as_expected([worse], BALANCED, DETECTORS, expected(BALANCED, ChannelOptions(loss_db=6), DETECTORS))
    _assert_as_expected([after], BALANCED, DETECTORS, normal)


def test_what_no_line_can_suffer_is_refused() -> None:
    line = _line()
    for disturbance in (
        Disturbance(extra_loss_db=-1.0),
        Disturbance(extra_loss_db=float("nan")),
        Disturbance(eavesdropper=Eavesdropper(fraction=1.5)),
    ):
        with pytest.raises(ConfigurationError):
            line.disturb(disturbance)
    assert line.disturbance == Disturbance()


def test_loss_and_visibility_drift_with_the_clock() -> None:
    source = replace(BALANCED, clock_hz=1e6)
    channel = ChannelOptions(loss_db=3, loss_drift_db=6, loss_drift_period_s=20)
    detectors = replace(DETECTORS, visibility_drift=0.2, visibility_drift_period_s=10)
    line = SimulatedLine(source, channel, detectors, _pulses(source), b"seed")
    for second in range(20):
        shown = line.detect(1_000_000)
        times = [expected(source, channel, detectors, time_s=second + part / 10 + 0.05) for part in range(10)]
        clicks = np.array([time.detections_per_s for time in times])
        errors = np.array([time.qber for time in times])
        _assert_counts(len(shown.slots), clicks.mean(), f"second {second}")
        sent = _pulses(source).states(shown.slots)
        sifted = sent.bases == shown.bases
        wrong = int((sent.bits != shown.bits)[sifted].sum())
        _assert_counts(wrong, int(sifted.sum()) * np.average(errors, weights=clicks), f"errors in second {second}")


@pytest.mark.parametrize(
    ("channel", "detectors"),
    [
        (LOSSLESS, TROUBLED),
        (LOSSLESS, replace(TROUBLED, dead_time_ns=0.0)),
        (ChannelOptions(loss_db=30), DETECTORS),
        (ChannelOptions(loss_db=3, loss_drift_db=3, loss_drift_period_s=1), TROUBLED),
    ],
)
def test_detections_do_not_depend_on_how_slots_are_divided_into_calls(
    channel: ChannelOptions, detectors: DetectorOptions
) -> None:
    total = 12_000_000  # several batches, and for the drift several steps
    whole = _line(channel=channel, detectors=detectors).detect(total)
    line = _line(channel=channel, detectors=detectors)
    sizes = [1, 2, 3, 5_000, 0, 1_000_000, 7, 4_000_000]
    parts = [line.detect(size) for size in [*sizes, total - sum(sizes)]]
    assert [part.first_slot for part in parts[1:]] == [part.end_slot for part in parts[:-1]]
    assert line.next_slot == parts[-1].end_slot == total
    for part in parts:
        assert ((part.slots >= part.first_slot) & (part.slots < part.end_slot)).all()
    assert (np.diff(whole.slots) > 0).all()
    assert _equal([whole], parts)


def test_many_short_calls_show_what_one_long_one_does() -> None:
    line = _line(detectors=TROUBLED)
    shown = [line.detect(777) for _ in range(2_000)]
    assert _equal(shown, [_line(detectors=TROUBLED).detect(777 * 2_000)])
    _assert_as_expected(shown, BALANCED, TROUBLED, expected(BALANCED, LOSSLESS, TROUBLED))


def test_a_seed_decides_everything() -> None:
    once = _line(detectors=TROUBLED, seed=b"one").detect(300_000)
    assert _equal([once], [_line(detectors=TROUBLED, seed=b"one").detect(300_000)])
    other = _line(detectors=TROUBLED, seed=b"two").detect(300_000)
    common = np.intersect1d(once.slots, other.slots)
    # Not more slots in common than the pulses that both lines see, because their light is the same, suggest.
    assert len(common) < 0.2 * len(once.slots)


def test_detections_do_not_print_themselves() -> None:
    shown = _line().detect(1000)
    assert repr(shown) == f"<{len(shown.slots)} detections in slots 0 to 1000>"
