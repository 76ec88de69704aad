"""What the detectors of an undisturbed line will show, by formula: for choosing parameters, and for noticing Eve.

With Q = 1 - (1 - y)^2 exp(-mean eta) the chance of a click by pulse (Ma et al., Phys. Rev. A 72, 012326 (2005), with
y of one detector), dead time makes the live share of the gates smaller, and afterpulses fall on whatever pulse
comes when the detectors live again: they add the same to every intensity, with errors of a half, as dark counts do.
(Lim et al., Phys. Rev. A 89, 022307 (2014), multiply each gain by 1 + p_ap instead; on average that is the same.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from keyhop.link.bb84.optics.channel import line_transmittance, receiver_transmittance
from keyhop.link.bb84.optics.detectors import error_probability, live_step_slots, noise_probability
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions


@dataclass(frozen=True, slots=True)
class Expectation:
    """Averages over many pulses. Without an eavesdropper both bases have the same gains and errors.

    `gains` and `error_rates` are by intensity: detections per pulse sent, and the share of errors among detections
    with equal bases (a fraction; the random bit of a double click counts). `double_click_share` is of all
    detections, `qber` of those with equal bases. `transmittance` is from the transmitter to a count.
    """

    transmittance: float
    gains: tuple[float, ...]
    error_rates: tuple[float, ...]
    detections_per_s: float
    sifted_z_per_s: float
    sifted_x_per_s: float
    qber: float
    double_click_share: float


@dataclass(frozen=True, slots=True)
class _Gate:
    """Chances of one gate that is live: any click, the wrong detector alone, both detectors."""

    click: float
    wrong: float
    double: float


def expected(
    source: SourceOptions,
    channel: ChannelOptions,
    detectors: DetectorOptions,
    *,
    time_s: float = 0.0,
    transmittance: float | None = None,
) -> Expectation:
    """The expectation at a time since the first pulse, or for a transmittance that was found otherwise."""
    if transmittance is None:
        transmittance = line_transmittance(channel, time_s) * receiver_transmittance(channel, detectors)
    noise, error = noise_probability(channel, detectors), error_probability(detectors, time_s)
    equal = [_gate(mean * transmittance, error, noise) for mean in source.intensities]
    unequal = [_gate(mean * transmittance, 0.5, noise) for mean in source.intensities]

    click = _mean(source, [gate.click for gate in equal])
    again = detectors.afterpulse_probability
    clicks_per_slot = _clicks_per_slot(click, again, live_step_slots(detectors, source))
    # Of the live gates that click, a share `again` is due to afterpulses and the rest is to light and noise.
    normal = clicks_per_slot * (1 - again) / click if click > 0 else 0.0
    forced = clicks_per_slot * again
    gains = [normal * gate.click + forced for gate in equal]
    errors = [normal * (gate.wrong + gate.double / 2) + forced * _forced_error(gate) for gate in equal]

    in_z = source.z_probability * detectors.z_probability
    in_x = (1 - source.z_probability) * (1 - detectors.z_probability)
    doubles = (in_z + in_x) * _doubles(source, equal, normal, forced)
    doubles += (1 - in_z - in_x) * _doubles(source, unequal, normal, forced)
    per_s = clicks_per_slot * source.clock_hz
    return Expectation(
        transmittance=transmittance,
        gains=tuple(gains),
        error_rates=tuple(e / gain if gain > 0 else 0.5 for e, gain in zip(errors, gains, strict=True)),
        detections_per_s=per_s,
        sifted_z_per_s=per_s * in_z,
        sifted_x_per_s=per_s * in_x,
        qber=_mean(source, errors) / clicks_per_slot if clicks_per_slot > 0 else 0.5,
        double_click_share=doubles / clicks_per_slot if clicks_per_slot > 0 else 0.0,
    )


def transmittance_for_rate(
    source: SourceOptions, channel: ChannelOptions, detectors: DetectorOptions, detections_per_s: float
) -> float:
    """The transmittance, from 0 to 1, with which so many detections are expected; the nearest end if there is none.

    So a receiver that sees only its rate can tell what else it should see, however the loss has changed.
    """
    step, again = live_step_slots(detectors, source), detectors.afterpulse_probability
    noise = noise_probability(channel, detectors)
    aim = detections_per_s / source.clock_hz
    low, high = 0.0, 1.0
    for _ in range(60):  # rates rise with the transmittance
        middle = (low + high) / 2
        click = _mean(source, [_gate(mean * middle, 0.5, noise).click for mean in source.intensities])
        low, high = (middle, high) if _clicks_per_slot(click, again, step) < aim else (low, middle)
    return (low + high) / 2


def _gate(detected_mean: float, error: float, noise: float) -> _Gate:
    dark_right = (1 - noise) * math.exp(-detected_mean * (1 - error))
    dark_wrong = (1 - noise) * math.exp(-detected_mean * error)
    return _Gate(
        click=-math.expm1(2 * math.log1p(-noise) - detected_mean),
        wrong=dark_right * (1 - dark_wrong),
        double=(1 - dark_right) * (1 - dark_wrong),
    )


def _clicks_per_slot(click: float, again: float, live_step: int) -> float:
    """One over the mean distance of clicks: dead gates, then at once by an afterpulse or after 1/click gates."""
    if click <= 0:
        return 0.0
    return 1 / (live_step - 1 + again + (1 - again) / click)


def _forced_error(gate: _Gate) -> float:
    """Chance that a gate with an afterpulse shows the wrong bit: the afterpulse is in either detector."""
    right = gate.click - gate.wrong - gate.double
    return (1 - gate.click) / 2 + right / 4 + gate.wrong * 3 / 4 + gate.double / 2


def _doubles(source: SourceOptions, gates: Sequence[_Gate], normal: float, forced: float) -> float:
    alone_or_both = [normal * gate.double + forced * (gate.click + gate.double) / 2 for gate in gates]
    return _mean(source, alone_or_both)


def _mean(source: SourceOptions, by_intensity: Sequence[float]) -> float:
    return math.fsum(p * value for p, value in zip(source.probabilities, by_intensity, strict=True))
