"""What decoy-state bounds share: bounded fluctuations, photon-number probabilities, and the results' types.

Light of random phase with mean photon number k holds n photons with the probability e^-k k^n / n!, whatever the
transmitter meant by it. An eavesdropper sees n, never k; so what happened to pulses with n photons happened to all
intensities in the proportion that these probabilities give, up to fluctuations.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Light:
    """What the transmitter sends: intensities in mean photons per pulse, signal first, and how often each."""

    intensities: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.intensities) not in (2, 3) or len(self.probabilities) != len(self.intensities):
            raise ValueError("give two or three intensities and a probability for each")
        if any(higher <= lower for higher, lower in zip(self.intensities, self.intensities[1:], strict=False)):
            raise ValueError("the intensities must fall, the signal's first")
        if not self.intensities[-1] >= 0 or not math.isfinite(self.intensities[0]):
            raise ValueError("an intensity is a finite number of photons")
        if not all(0 < p < 1 for p in self.probabilities) or abs(sum(self.probabilities) - 1) > 1e-6:
            raise ValueError("the probabilities lie between 0 and 1 and add up to 1")

    def photon_number_probability(self, photons: int) -> float:
        """τ_n: how often a pulse holds so many photons, over all intensities."""
        return sum(
            p * math.exp(-k) * k**photons / math.factorial(photons)
            for k, p in zip(self.intensities, self.probabilities, strict=True)
        )

    def scaled(self, events: tuple[int, ...], deviation: float, intensity: int) -> float:
        """n±_k = (e^k / p_k) (n_k ± δ): the events of one intensity, moved by `deviation`, over e^-k and its share."""
        k, p = self.intensities[intensity], self.probabilities[intensity]
        return math.exp(k) / p * (events[intensity] + deviation)


@dataclass(frozen=True, slots=True)
class DecoyEstimate:
    """Bounds on what cannot be seen, in events of the round: each holds except with a small probability."""

    vacuum_z: float
    """s_Z,0: at least so many Z bits came from pulses without a photon."""
    single_photons_z: float
    """s_Z,1: at least so many came from exactly one."""
    single_photons_x: float
    """s_X,1: the same in X."""
    single_photon_errors_x: float
    """v_X,1: at most so many of the single photons' X bits are wrong."""


def hoeffding_deviation(events: int, failure: float) -> float:
    """δ(n) = √(n/2 · ln(1/ε)): events whose intensities were chosen independently stray no further (Hoeffding 1963)."""
    return math.sqrt(events / 2 * math.log(1 / failure))


def sampling_deviation(rate: float, sample: float, rest: float, failure: float) -> float:
    """γ: how much higher than in the sample the error rate in the rest may be (Lim et al. 2014, below equation 5).

    The paper's expression vanishes with the rate, yet a sample without errors does not prove a rest without. So the
    rate enters with at least ln(1/ε)/sample, what a sample of independent events without errors leaves possible.
    """
    possible = min(max(rate, math.log(1 / failure) / sample), 0.5)
    variance = possible * (1 - possible)
    share = (sample + rest) / (sample * rest)
    return math.sqrt(share * variance / math.log(2) * max(0.0, math.log2(share / variance) - 2 * math.log2(failure)))


def binary_entropy(probability: float) -> float:
    """h(x) in bits; 0 at both ends."""
    if probability <= 0 or probability >= 1:
        return 0.0
    return -probability * math.log2(probability) - (1 - probability) * math.log2(1 - probability)
