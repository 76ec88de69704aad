"""Which intensities, probabilities and basis choice give most key over a line: for planning and research.

Nothing here runs while a link produces keys. What light does on the line comes in as a function, so that any model of
a line can be asked.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy.optimize import differential_evolution  # type: ignore[import-untyped]

from keyhop.link.bb84.key_length.decoy_statistics import binary_entropy
from keyhop.link.bb84.key_length.finite_key import Counts, KeyLength, Security, key_length

_SECURITY = Security()

type Response = Callable[[float], tuple[float, float]]
"""From an intensity (mean photons per pulse) to its gain (clicks per pulse, both bases alike) and error rate."""

_WEAKEST_INTENSITY = 2e-4
"""Of two decoys the weaker is meant to be dark; no modulator is (Lim et al. 2014, section on the evaluation)."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is free to choose: intensities in mean photons per pulse, how often each, and how often the basis is Z."""

    intensities: tuple[float, ...]
    probabilities: tuple[float, ...]
    z_probability: float
    """Of the transmitter and of the receiver."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A line and what is made of it."""

    response: Response
    clock_hz: float
    block_bits: int
    """Sifted Z bits of a round."""
    dead_time_ns: float = 0.0
    """Common to the detectors."""
    reconciliation_efficiency: float = 1.05
    """f: bits disclosed over the Shannon limit."""
    security: Security = _SECURITY
    errors_public: bool = True


@dataclass(frozen=True, slots=True)
class Yield:
    """What a round gives on average."""

    preparation: Preparation
    counts: Counts
    key: KeyLength
    secret_bps: float
    sifted_bps: float
    """Z bits per second before anything is taken off."""
    detections_per_s: float
    round_s: float


def expected_counts(
    pulses: float, preparation: Preparation, gains: tuple[float, ...], error_rates: tuple[float, ...]
) -> Counts:
    """What so many pulses give on average, rounded. `gains` are clicks per pulse, less what dead time hides."""
    in_z, in_x = preparation.z_probability**2, (1 - preparation.z_probability) ** 2
    detected = [pulses * p * gain for p, gain in zip(preparation.probabilities, gains, strict=True)]
    wrong = [n * rate for n, rate in zip(detected, error_rates, strict=True)]
    return Counts(
        n_z=tuple(round(in_z * n) for n in detected),
        m_z=tuple(round(in_z * m) for m in wrong),
        n_x=tuple(round(in_x * n) for n in detected),
        m_x=tuple(round(in_x * m) for m in wrong),
    )


def expected_yield(plan: Plan, preparation: Preparation) -> Yield:
    """The key of an average round. A dead time t lets through 1/(1 + R·Q·t) of R·Q clicks per second."""
    responses = [plan.response(intensity) for intensity in preparation.intensities]
    clicks_hz = plan.clock_hz * sum(p * gain for p, (gain, _) in zip(preparation.probabilities, responses, strict=True))
    alive = 1 / (1 + clicks_hz * plan.dead_time_ns * 1e-9)
    sifted_bps = alive * clicks_hz * preparation.z_probability**2
    round_s = plan.block_bits / sifted_bps
    counts = expected_counts(
        round_s * plan.clock_hz,
        preparation,
        tuple(alive * gain for gain, _ in responses),
        tuple(error_rate for _, error_rate in responses),
    )
    disclosed = math.ceil(plan.reconciliation_efficiency * sum(counts.n_z) * binary_entropy(counts.qber_z))
    key = key_length(
        counts,
        preparation.intensities,
        preparation.probabilities,
        disclosed,
        plan.security,
        errors_public=plan.errors_public,
    )
    return Yield(preparation, counts, key, key.bits / round_s, sifted_bps, alive * clicks_hz, round_s)


def optimise(plan: Plan, decoys: int = 1, seed: int = 1, effort: int = 40) -> Yield:
    """The preparation that gives most secret bits per second, found by differential evolution; the same each time.

    `decoys` is 1 or 2, `effort` the number of generations. Raises ValueError for another number of decoys.
    """
    if decoys not in (1, 2):
        raise ValueError("the bounds are for one decoy or two")
    ranges = [(0.3, 0.995), (0.05, 0.98), (0.05, 1.2), (0.02, 0.9), (0.02, 0.98)][: 3 + decoys]

    def loss(point: list[float]) -> float:
        try:
            return -expected_yield(plan, _preparation(point)).secret_bps
        except ValueError:  # two decoys brighter than the signal
            return 0.0

    found = differential_evolution(loss, ranges, rng=seed, maxiter=effort, popsize=10, tol=1e-8, polish=False)
    return expected_yield(plan, _preparation(found.x))


def _preparation(point: list[float]) -> Preparation:
    """From the optimiser's coordinates; intensities and probabilities of decoys are shares of what is before them."""
    z_probability, signal_share, signal, decoy_share, *second = (float(x) for x in point)
    if not second:
        return Preparation((signal, decoy_share * signal), (signal_share, 1 - signal_share), z_probability)
    middle = (1 - signal_share) * second[0]
    shares = (signal_share, middle, 1 - signal_share - middle)
    return Preparation((signal, decoy_share * signal, _WEAKEST_INTENSITY), shares, z_probability)
