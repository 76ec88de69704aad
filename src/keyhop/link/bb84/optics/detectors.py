"""The receiver's two detectors: what light, and no light, makes them do in one gate.

A gate has three chances that count: that the right detector clicks alone (the one of the bit that arrives), that the
wrong one does, and that both do. Where sender and receiver chose different bases, "right" and "wrong" are equal.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.optics.channel import background_counts_per_gate, slow_wave
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions


class Darkness(NamedTuple):
    """Chances that light leaves the right detector dark, the wrong one, and both."""

    right: float
    wrong: float
    both: float


def coherent_darkness(mean_photons: float, error: float) -> Darkness:
    """Of a pulse with random phase, `mean_photons` counting only those that would be detected.

    The photons that each detector sees are independent and Poissonian.
    """
    return Darkness(math.exp(-mean_photons * (1 - error)), math.exp(-mean_photons * error), math.exp(-mean_photons))


def photon_darkness(photons: int, efficiency: float, error: float) -> Darkness:
    """Of a pulse that arrives with exactly so many photons."""
    return Darkness(
        (1 - efficiency * (1 - error)) ** photons, (1 - efficiency * error) ** photons, (1 - efficiency) ** photons
    )


def outcome(darkness: Darkness, noise: float) -> NDArray[np.float64]:
    """Chances of a click of the right detector alone, the wrong one alone, and both; `noise` as below."""
    quiet = 1 - noise
    neither = quiet * quiet * darkness.both
    right, wrong = quiet * darkness.wrong - neither, quiet * darkness.right - neither
    return np.array([right, wrong, 1 - neither - right - wrong])


def noise_probability(channel: ChannelOptions, detectors: DetectorOptions, *, cut: bool = False) -> float:
    """Chance of a dark count or of background per gate and detector; a line that is cut brings no background."""
    background = 0.0 if cut else background_counts_per_gate(channel, detectors)
    return 1 - (1 - detectors.dark_count_probability) * math.exp(-background)


def error_probability(detectors: DetectorOptions, time_s: float = 0.0) -> float:
    """e_d: the share of photons that go to the wrong detector, at a time since the first pulse."""
    fallen = detectors.visibility_drift * slow_wave(time_s, detectors.visibility_drift_period_s)
    return (1 - detectors.visibility + fallen) / 2


def live_step_slots(detectors: DetectorOptions, source: SourceOptions) -> int:
    """Slots from a click to the first gate that is not within its dead time; 1 without dead time."""
    return max(1, math.ceil(detectors.dead_time_ns * 1e-9 * source.clock_hz - 1e-6))
