"""The tests of NIST SP 800-22 rev. 1a, by the package sp80022suite, which needs a C compiler to be installed.

Two tests of the package fail on good bits and are left out (non-overlapping template matchings, random excursions), and
random excursions variant, which judges only some of the sequences.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, gammaincc  # type: ignore[import-untyped]

SEQUENCE_BITS = 1_000_000
ALPHA = 0.01
"""The significance level of section 4.2."""

LEAST_CHANCE = 0.0001
"""As section 4.2.2 has it for uniformity."""

_BINS = 10

sp80022suite = import_module("sp80022suite")  # which mypy may or may not find
TESTS: dict[str, Callable[[bytes], float]] = {
    "frequency": sp80022suite.frequency,
    "block frequency": partial(sp80022suite.block_frequency, 128),
    "cumulative sums": sp80022suite.cumulative_sums,
    "runs": sp80022suite.runs,
    "longest run of ones": sp80022suite.longest_run_of_ones,
    "rank": sp80022suite.rank,
    "discrete Fourier transform": sp80022suite.discrete_fourier_transform,
    "overlapping template matchings": partial(sp80022suite.overlapping_template_matchings, 9),
    "universal": sp80022suite.universal,
    "approximate entropy": partial(sp80022suite.approximate_entropy, 10),
    "serial": partial(sp80022suite.serial, 16),
    "linear complexity": partial(sp80022suite.linear_complexity, 500),
}
LEAST_OF_TWO = ("cumulative sums", "serial")
"""Tests with two P-values, of which the package tells the lesser."""


def p_values(bits: NDArray[np.uint8]) -> dict[str, float]:
    """Of each test on a sequence, one bit per element. At least 10^6 bits, as the universal test wants.

    Where a test has two P-values this is twice the lesser one, at most 1: good bits fall below a level as often as
    with others, or less often.
    """
    data = bits.tobytes()
    return {name: _p_value(name, test(data)) for name, test in TESTS.items()}


def _p_value(name: str, told: float) -> float:
    return min(1.0, told * (2 if name in LEAST_OF_TWO else 1))


@dataclass(frozen=True, slots=True)
class Judgement:
    """A test on many sequences: `passed` of them, which should be `least_passed`. `chance` is that of random bits
    to pass so seldom; `uniformity` the P-value of the P-values, None where those are of no one kind."""

    passed: int
    sequences: int
    least_passed: float
    chance: float
    uniformity: float | None

    @property
    def usual(self) -> bool:
        """What section 4.2.1 demands. With 100 sequences one test in fifty of random bits falls short of it."""
        return self.passed >= self.least_passed

    @property
    def good(self) -> bool:
        """Whether random bits are like this, as far as one can ask of every run of many tests."""
        return self.chance >= LEAST_CHANCE and (self.uniformity is None or self.uniformity >= LEAST_CHANCE)


def judge(name: str, found: Sequence[float]) -> Judgement:
    """The two looks of section 4.2 at one test's P-values: the proportion of sequences that pass (4.2.1), three
    standard deviations below the expected one at least, and how evenly P-values lie (4.2.2)."""
    count = len(found)
    expected = 1 - ALPHA
    least = count * (expected - 3 * (expected * ALPHA / count) ** 0.5)
    passed = sum(value >= ALPHA for value in found)
    chance = float(bdtrc(count - passed - 1, count, ALPHA)) if passed < count else 1.0
    if name in LEAST_OF_TWO:
        return Judgement(passed, count, least, chance, None)
    bins = np.histogram(found, _BINS, (0.0, 1.0))[0]
    chi_squared = float(((bins - count / _BINS) ** 2).sum() / (count / _BINS))
    return Judgement(passed, count, least, chance, float(gammaincc((_BINS - 1) / 2, chi_squared / 2)))
