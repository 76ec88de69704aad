"""Keys of real rounds are alike at both ends, and to SP 800-22 they are random."""

import importlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions
from keyhop.testing.bb84_link import EnginePair, options

BITS = 1_000_000
LEAST_P_VALUE = 1e-8
"""Twelve tests: a false alarm is less likely than 1e-6 (bits from fixed seeds always give the same answer)."""


@pytest.fixture(scope="module")
def suite() -> ModuleType:
    """keyhop.testing.randomness, where that can be."""
    if importlib.util.find_spec("sp80022suite") is None:
        reason = "not installed: sp80022suite (the extra `randomness`; needs a C compiler)"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return importlib.import_module("keyhop.testing.randomness")


@pytest.fixture(scope="module")
def failing(suite: ModuleType) -> Callable[[NDArray[np.uint8]], set[str]]:
    """The tests that bits fail beyond doubt."""

    def failing(bits: NDArray[np.uint8]) -> set[str]:
        return {name for name, value in suite.p_values(bits).items() if value < LEAST_P_VALUE}

    return failing


@pytest.fixture(scope="module")
def bits(suite: ModuleType) -> NDArray[np.uint8]:
    """Secret bits of a link of 10 dB at 1 GHz, in rounds of a quarter of a million of them or more."""
    line = replace(
        options(block_bits=2_000_000),
        source=SourceOptions(intensities=(0.413, 0.118), probabilities=(0.7, 0.3), z_probability=0.882),
        channel=ChannelOptions(loss_db=10.0),
        detectors=DetectorOptions(z_probability=0.882),
    )
    pair = EnginePair(line)
    for _ in range(200):
        if 8 * pair.shared() >= BITS:
            break
        pair.step()
    assert int(pair.transmitter.engine.view.details["rounds"]) >= 2
    ends = [b"".join(block.material.reveal() for block in end.blocks) for end in pair.ends]
    assert ends[0] == ends[1]
    return np.unpackbits(np.frombuffer(ends[0], np.uint8))[:BITS]


type Failing = Callable[[NDArray[np.uint8]], set[str]]


def test_a_million_secret_bits_pass(failing: Failing, bits: NDArray[np.uint8]) -> None:
    assert len(bits) == BITS
    assert failing(bits) == set()


def test_biased_bits_fail(failing: Failing, bits: NDArray[np.uint8]) -> None:
    """One in fifty of the zeros is made a one."""
    spoilt = bits | (np.random.default_rng(1).random(BITS) < 0.02)
    assert failing(spoilt.astype(np.uint8)) >= {"frequency", "cumulative sums"}


def test_periodic_bits_fail(failing: Failing, bits: NDArray[np.uint8]) -> None:
    """Whatever they are, the same come again and again."""
    again = np.tile(bits[:5000], BITS // 5000)
    assert failing(again) >= {"discrete Fourier transform", "serial", "approximate entropy"}


def test_bits_that_depend_on_the_one_before_fail(failing: Failing, bits: NDArray[np.uint8]) -> None:
    """Every hundredth bit is the one before it, so neither has a bias."""
    spoilt = bits.copy()
    spoilt[1::100] = spoilt[::100]
    assert failing(spoilt) >= {"runs"}


@pytest.mark.parametrize(
    ("failures", "usual", "good"),
    [(0, True, True), (3, True, True), (4, False, True), (6, False, True), (7, False, False), (100, False, False)],
)
def test_of_a_hundred_sequences_few_may_fail(suite: ModuleType, failures: int, usual: bool, good: bool) -> None:
    """SP 800-22 rev. 1a, 4.2.1: 0.99 ± 3 sqrt(0.99 · 0.01 / 100), so 97 of 100 at least."""
    found = [0.005] * failures + [(rank + 0.5) / 100 for rank in range(1, 101 - failures)] + [0.5]
    judgement = suite.judge("serial", found[:100])
    assert (judgement.sequences - judgement.passed, judgement.usual, judgement.good) == (failures, usual, good)


def test_p_values_that_crowd_are_noticed(suite: ModuleType) -> None:
    """4.2.2, whose example of an even spread is one of nine degrees of freedom."""
    even = [(rank + 0.5) / 100 for rank in range(100)]
    assert suite.judge("runs", even).uniformity == 1.0
    assert not suite.judge("runs", [0.3 + value / 2 for value in even]).good
