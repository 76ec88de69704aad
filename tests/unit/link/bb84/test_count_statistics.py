"""Rounds of simulated lines: honest ones pass whatever their faults, attacks on detectors and photon numbers do not."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, poisson  # type: ignore[import-untyped]

from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import Disturbance, Eavesdropper
from keyhop.link.bb84.key_length.count_statistics import FAILURE, Configured, Observed, _surprise, _too_few, findings
from keyhop.link.bb84.key_length.decoy_statistics import Light
from keyhop.link.bb84.optics.detectors import live_step_slots
from keyhop.link.bb84.optics.line import SimulatedLine
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions
from keyhop.link.bb84.optics.pulses import PulseSource
from keyhop.link.bb84.sifting.rounds import ByBasis

SOURCE = SourceOptions(intensities=(0.395, 0.13), probabilities=(0.59, 0.41), z_probability=0.837)
TWO_DECOYS = SourceOptions(intensities=(0.45, 0.17, 0.0), probabilities=(0.6, 0.25, 0.15), z_probability=0.9)
DETECTORS = DetectorOptions(z_probability=0.837)
TEN_DB = ChannelOptions(loss_db=10)
SLOTS_OF_4E6_BITS = 1_000_000_000


def observed(
    source: SourceOptions,
    channel: ChannelOptions,
    detectors: DetectorOptions,
    slots: int,
    eavesdropper: Eavesdropper | None = None,
) -> Observed:
    """A round of so many slots."""
    pulses = PulseSource(source, KeyMaterial(b"s" * 32), b"run")
    line = SimulatedLine(source, channel, detectors, pulses, b"seed")
    line.disturb(Disturbance(eavesdropper=eavesdropper))
    kinds = len(source.intensities)
    sifted, x_errors = np.zeros((2, 2, kinds), np.int64), np.zeros(kinds, np.int64)
    detected, doubled = np.zeros((2, 2), np.int64), np.zeros((2, 2), np.int64)
    for first in range(0, slots, 200_000_000):
        seen = line.detect(min(200_000_000, slots - first))
        sent = pulses.states(seen.slots)
        matching = (sent.bases == seen.bases).astype(np.uint8)
        np.add.at(detected, (seen.bases, matching), 1)
        np.add.at(doubled, (seen.bases, matching), seen.doubles)
        np.add.at(sifted, (matching, seen.bases, sent.intensities), 1)
        wrong = (matching == 1) & (seen.bases == 1) & (sent.bits != seen.bits)
        np.add.at(x_errors, sent.intensities, wrong)
    return Observed(
        detections=by_basis(detected),
        doubles=by_basis(doubled),
        n_z=tuple(sifted[1, 0].tolist()),
        n_x=tuple(sifted[1, 1].tolist()),
        m_x=tuple(x_errors.tolist()),
        gates=slots - int(detected.sum()) * (live_step_slots(detectors, source) - 1),
    )


def by_basis(table: np.ndarray) -> ByBasis:
    return ByBasis(*(int(table[basis, matching]) for basis in (0, 1) for matching in (1, 0)))


def configured(source: SourceOptions, detectors: DetectorOptions) -> Configured:
    light = Light(source.intensities, source.probabilities)
    return Configured(light, source.z_probability, detectors.z_probability, max_qber=0.11)


@pytest.mark.parametrize(
    ("source", "channel", "detectors", "slots"),
    [
        (SOURCE, TEN_DB, DETECTORS, SLOTS_OF_4E6_BITS // 2),
        (SOURCE, ChannelOptions(loss_db=0), DETECTORS, 20_000_000),
        (SOURCE, ChannelOptions(loss_db=0), replace(DETECTORS, efficiency=1, dead_time_ns=40), 20_000_000),
        (SOURCE, TEN_DB, replace(DETECTORS, dead_time_ns=150, afterpulse_probability=0.1), 200_000_000),
        (SOURCE, ChannelOptions(loss_db=35), DETECTORS, 10_000_000_000),
        (SOURCE, ChannelOptions(loss_db=15, background_counts_per_gate=1e-4), DETECTORS, 200_000_000),
        (SOURCE, replace(TEN_DB, loss_drift_db=6, loss_drift_period_s=1), DETECTORS, 300_000_000),
        (SOURCE, TEN_DB, replace(DETECTORS, visibility=0.88, visibility_drift=0.05), 200_000_000),
        (TWO_DECOYS, TEN_DB, replace(DETECTORS, z_probability=0.9), 200_000_000),
        (TWO_DECOYS, ChannelOptions(loss_db=0), replace(DETECTORS, z_probability=0.5, dead_time_ns=20), 20_000_000),
        (SOURCE, TEN_DB, DETECTORS, 20_000),
    ],
)
def test_an_honest_line_passes(
    source: SourceOptions, channel: ChannelOptions, detectors: DetectorOptions, slots: int
) -> None:
    assert findings(observed(source, channel, detectors, slots), configured(source, detectors)) == []


@pytest.mark.parametrize(
    ("eavesdropper", "sentence"),
    [
        (Eavesdropper(attack="blinding", fraction=1), "may be blinded"),
        (Eavesdropper(attack="blinding", fraction=0.2), "may be blinded"),
        (Eavesdropper(attack="blinding", fraction=0.2, basis="Z"), "of the detections are in Z"),
        (Eavesdropper(attack="photon-number-splitting", fraction=1), "photon numbers may be split"),
        (Eavesdropper(attack="photon-number-splitting", fraction=0.2), "photon numbers may be split"),
        (Eavesdropper(attack="intercept-resend", fraction=0.42), "over the limit of 11.0%"),
        (Eavesdropper(attack="intercept-resend", fraction=0.22, basis="Z"), "over the limit of 11.0%"),
    ],
    ids=lambda value: f"{value.attack} {value.fraction} {value.basis}" if isinstance(value, Eavesdropper) else None,
)
def test_an_attack_on_the_pulses_of_a_round_is_found(eavesdropper: Eavesdropper, sentence: str) -> None:
    round_of_pulses = observed(SOURCE, TEN_DB, DETECTORS, SLOTS_OF_4E6_BITS, eavesdropper)
    assert any(sentence in found for found in findings(round_of_pulses, configured(SOURCE, DETECTORS)))


def test_without_dead_time_in_the_count_of_gates_the_check_is_weaker_not_wrong() -> None:
    detectors = replace(DETECTORS, dead_time_ns=100)
    honest = observed(SOURCE, TEN_DB, detectors, 200_000_000)
    assert findings(replace(honest, gates=200_000_000), configured(SOURCE, detectors)) == []


def test_clicks_that_need_no_light_and_are_right_are_not_noise() -> None:
    """All intensities are detected alike, by whoever makes the detectors click."""
    setting = configured(SOURCE, DETECTORS)
    n_x = tuple(round(100_000 * p) for p in SOURCE.probabilities)
    n_z = tuple(26 * n for n in n_x)
    split = [round(sum(n_z) / 0.837 * share) for share in (0.837, 0.163)]
    other = [round(sum(n_x) / 0.163 * share) for share in (0.837, 0.163)]
    total = ByBasis(z_matching=split[0], z_other=split[1], x_matching=other[1], x_other=other[0])
    doubles = ByBasis(z_matching=0, z_other=50_000, x_matching=0, x_other=50_000)
    right = Observed(total, doubles, n_z, n_x, tuple(n * 3 // 10 for n in n_x), gates=1e9)
    noise = replace(right, m_x=tuple(n // 2 for n in n_x))
    assert any("do not depend on the light" in found for found in findings(right, setting))
    assert [found for found in findings(noise, setting) if "over the limit" not in found] == []


def test_a_round_without_detections_has_nothing_to_find() -> None:
    nothing = ByBasis(0, 0, 0, 0)
    assert findings(Observed(nothing, nothing, (0, 0), (0, 0), (0, 0), 0.0), configured(SOURCE, DETECTORS)) == []


def test_a_basis_that_the_transmitter_did_not_choose_so_often_is_found() -> None:
    total = ByBasis(z_matching=700_000, z_other=20_000, x_matching=20_000, x_other=120_000)
    doubles = ByBasis(0, 5_000, 0, 5_000)
    sentences = findings(
        Observed(total, doubles, (600_000, 100_000), (17_000, 3_000), (300, 60), 1e9), configured(SOURCE, DETECTORS)
    )
    assert any("were sent in Z" in found for found in sentences)


@pytest.mark.parametrize("expected", [30.0, 300.0, 30_000.0])
def test_too_few_is_less_likely_than_promised(expected: float) -> None:
    limit = max(seen for seen in range(math.ceil(expected)) if _too_few(seen, expected))
    assert FAILURE / 1000 < poisson.cdf(limit, expected) < FAILURE


@pytest.mark.parametrize("share", [0.05, 0.5, 0.8])
def test_a_surprise_is_as_unlikely_as_it_says(share: float) -> None:
    for part in range(0, 2001, 50):
        tail = binom.cdf(part, 2000, share) if part < 2000 * share else binom.sf(part - 1, 2000, share)
        assert tail <= math.exp(-_surprise(part, 2000, share)) * (1 + 1e-9)
