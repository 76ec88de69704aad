"""Eve's attacks show where the theory says, and only there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import Disturbance, Eavesdropper
from keyhop.link.bb84.optics.expected import Expectation, expected
from keyhop.link.bb84.optics.line import SimulatedLine
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions
from keyhop.link.bb84.optics.pulses import PulseSource

SIGMAS = 4.5
SOURCE = SourceOptions(intensities=(0.42, 0.112), probabilities=(0.71, 0.29), z_probability=0.6)
DETECTORS = DetectorOptions(z_probability=0.6)
TROUBLED = DetectorOptions(dead_time_ns=10, afterpulse_probability=0.03, dark_count_probability=1e-4, z_probability=0.6)
ERROR = 0.02
"""e_d of both detectors."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What both ends together find: counts by basis (where equal) and intensity, errors likewise."""

    pulses: int
    detections: int
    doubles: int
    clicks: NDArray[np.int64]
    errors: NDArray[np.int64]
    by_intensity: NDArray[np.int64]

    def error_rate(self, basis: int) -> float:
        """Over all intensities."""
        return float(self.errors[basis].sum() / self.clicks[basis].sum())

    def error_noise(self, basis: int) -> float:
        """How far an error rate may be off."""
        return SIGMAS * 0.5 / float(np.sqrt(self.clicks[basis].sum()))

    def gain(self, intensity: int) -> float:
        """Detections per pulse sent with it."""
        return float(self.by_intensity[intensity] / self.pulses / SOURCE.probabilities[intensity])

    def gain_noise(self, intensity: int) -> float:
        """How far that may be off."""
        return SIGMAS * self.gain(intensity) / float(np.sqrt(self.by_intensity[intensity]))


def _see(
    eavesdropper: Eavesdropper,
    loss_db: float = 10.0,
    detectors: DetectorOptions = DETECTORS,
    pulses: int = 20_000_000,
) -> Seen:
    states = PulseSource(SOURCE, KeyMaterial(bytes(range(32))), b"run")
    line = SimulatedLine(SOURCE, ChannelOptions(loss_db=loss_db), detectors, states, b"seed")
    line.disturb(Disturbance(eavesdropper=eavesdropper))
    shown = line.detect(pulses)
    sent = states.states(shown.slots)
    counts = np.zeros((2, 2, 2, 2), np.int64)  # bases equal, basis, intensity, wrong
    np.add.at(
        counts, ((sent.bases == shown.bases) * 1, shown.bases, sent.intensities, (sent.bits != shown.bits) * 1), 1
    )
    return Seen(
        pulses,
        len(shown.slots),
        int(shown.doubles.sum()),
        counts[1].sum(axis=2),
        counts[1, :, :, 1],
        counts.sum((0, 1, 3)),
    )


def _undisturbed(loss_db: float = 10.0, detectors: DetectorOptions = DETECTORS) -> Expectation:
    return expected(SOURCE, ChannelOptions(loss_db=loss_db), detectors)


def _assert_rate_kept(seen: Seen, undisturbed: Expectation) -> None:
    mean = undisturbed.detections_per_s / SOURCE.clock_hz * seen.pulses
    assert abs(seen.detections - mean) < SIGMAS * np.sqrt(mean)


def _single_photon_yield(gains: Sequence[float]) -> float:
    """The lower bound by one decoy without counting noise: Ma et al. 2005, equation (34); no dark counts."""
    signal, decoy = SOURCE.intensities
    several = gains[0] * np.exp(signal) * (decoy / signal) ** 2
    return float(signal / (signal * decoy - decoy**2) * (gains[1] * np.exp(decoy) - several))


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("loss_db", [2, 10])
def test_intercepting_and_resending_makes_a_quarter_of_errors(fraction: float, loss_db: float) -> None:
    seen = _see(Eavesdropper(fraction=fraction), loss_db)
    # Bennett and Brassard 1984; e_d acts on the half of her pulses that she sends in the right basis.
    error_rate = (1 - fraction) * ERROR + fraction * (0.25 + ERROR / 2)
    for basis in (0, 1):
        assert seen.error_rate(basis) == pytest.approx(error_rate, abs=seen.error_noise(basis) + 2e-4)
    undisturbed = _undisturbed(loss_db)
    _assert_rate_kept(seen, undisturbed)
    for intensity in (0, 1):
        assert seen.gain(intensity) == pytest.approx(undisturbed.gains[intensity], abs=seen.gain_noise(intensity))


@pytest.mark.parametrize(("basis", "quiet", "noisy"), [("Z", 0, 1), ("X", 1, 0)])
@pytest.mark.parametrize("fraction", [0.3, 1.0])
def test_measuring_in_one_basis_shows_in_the_other(
    basis: Literal["Z", "X"], quiet: int, noisy: int, fraction: float
) -> None:
    seen = _see(Eavesdropper(basis=basis, fraction=fraction))
    assert seen.error_rate(quiet) == pytest.approx(ERROR, abs=seen.error_noise(quiet) / 3 + 2e-4)
    error_rate = (1 - fraction) * ERROR + fraction * 0.5
    assert seen.error_rate(noisy) == pytest.approx(error_rate, abs=seen.error_noise(noisy))


@pytest.mark.parametrize("loss_db", [2, 10, 20])
def test_splitting_photon_numbers_shows_in_the_decoys_alone(loss_db: float) -> None:
    seen = _see(Eavesdropper("photon-number-splitting"), loss_db, pulses=50_000_000)
    undisturbed = _undisturbed(loss_db)
    _assert_rate_kept(seen, undisturbed)
    for basis in (0, 1):
        noise = seen.error_noise(basis) / 3
        assert seen.error_rate(basis) == pytest.approx(undisturbed.qber, abs=noise + 1e-3)
    honest = _single_photon_yield(undisturbed.gains)
    assert honest > 0.8 * undisturbed.transmittance
    found = _single_photon_yield((seen.gain(0), seen.gain(1)))
    if loss_db == 2:  # to keep the rate she must let single photons pass, and learns little
        assert found == pytest.approx(honest, rel=0.1)
    else:
        assert found < 0


def test_splitting_stops_every_single_photon_where_the_loss_allows_it() -> None:
    seen = _see(Eavesdropper("photon-number-splitting"), 10.0)
    # Two photons or more, so the decoys' gain goes with the square of the intensity, nearly.
    several = [1 - np.exp(-mean) * (1 + mean) for mean in SOURCE.intensities]
    assert seen.gain(0) / seen.gain(1) == pytest.approx(several[0] / several[1], rel=0.15)


def test_splitting_a_fraction_is_between_all_and_nothing() -> None:
    nothing, all_of_them = _undisturbed().gains[1], _see(Eavesdropper("photon-number-splitting")).gain(1)
    half = _see(Eavesdropper("photon-number-splitting", fraction=0.5))
    assert half.gain(1) == pytest.approx((nothing + all_of_them) / 2, abs=2 * half.gain_noise(1))
    _assert_rate_kept(half, _undisturbed())


@pytest.mark.parametrize("detectors", [DETECTORS, TROUBLED])
def test_blinded_detectors_never_click_together_nor_by_themselves(detectors: DetectorOptions) -> None:
    seen = _see(Eavesdropper("blinding"), 2.0, detectors)
    undisturbed = _undisturbed(2.0, detectors)
    assert undisturbed.double_click_share * seen.detections > 100
    assert seen.doubles == 0
    for basis in (0, 1):
        assert seen.error_rate(basis) == pytest.approx(ERROR, abs=seen.error_noise(basis) / 3)


def test_blinding_keeps_the_rate_but_not_the_poissonian_gains() -> None:
    seen, undisturbed = _see(Eavesdropper("blinding"), pulses=100_000_000), _undisturbed()
    _assert_rate_kept(seen, undisturbed)
    # She finds light in 1 - exp(-mean) of the pulses, and clicks follow that.
    found = [1 - np.exp(-mean) for mean in SOURCE.intensities]
    for intensity in (0, 1):
        assert abs(seen.gain(intensity) - undisturbed.gains[intensity]) > 2 * seen.gain_noise(intensity)
    assert seen.gain(0) / seen.gain(1) == pytest.approx(found[0] / found[1], rel=0.05)


def test_blinding_cannot_keep_a_rate_beyond_what_she_finds() -> None:
    seen = _see(Eavesdropper("blinding"), 0.0, DetectorOptions(efficiency=0.9, z_probability=0.6), 1_000_000)
    found = [1 - np.exp(-mean) for mean in SOURCE.intensities]
    for intensity in (0, 1):  # half of the time the receiver's basis is hers
        assert seen.gain(intensity) == pytest.approx(found[intensity] / 2, abs=seen.gain_noise(intensity))


def test_blinding_in_one_basis_leaves_the_other_empty() -> None:
    seen = _see(Eavesdropper("blinding", basis="Z"))
    assert seen.clicks[1].sum() == 0
    _assert_rate_kept(seen, _undisturbed())


def test_blinding_a_fraction_takes_that_share_of_the_double_clicks() -> None:
    seen, undisturbed = _see(Eavesdropper("blinding", fraction=0.7), 2.0), _undisturbed(2.0)
    doubles = 0.3 * undisturbed.double_click_share * seen.detections
    assert abs(seen.doubles - doubles) < SIGMAS * np.sqrt(doubles)
