"""Keys of real rounds are alike at both ends, and to SP 800-22 they are random."""

import importlib.util
import os
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions
from keyhop.testing.bb84_link import EnginePair, options

BITS = 1_000_000
LEAST_P_VALUE = 1e-8
"""Twelve tests: a false alarm is less likely than 1e-6 (bits from fixed seeds always give the same answer)."""


@pytest.fixture(scope="module")
def bits() -> NDArray[np.uint8]:
    """Secret bits of a link of 10 dB at 1 GHz, in rounds of a quarter of a million of them or more."""
    if importlib.util.find_spec("sp80022suite") is None:
        reason = "not installed: sp80022suite (the extra `randomness`; needs a C compiler)"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
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


def failing(bits: NDArray[np.uint8]) -> set[str]:
    from keyhop.testing.randomness import p_values

    return {name for name, value in p_values(bits).items() if value < LEAST_P_VALUE}


def test_a_million_secret_bits_pass(bits: NDArray[np.uint8]) -> None:
    assert len(bits) == BITS
    assert failing(bits) == set()


def test_biased_bits_fail(bits: NDArray[np.uint8]) -> None:
    """One in fifty of the zeros is made a one."""
    spoilt = bits | (np.random.default_rng(1).random(BITS) < 0.02)
    assert failing(spoilt.astype(np.uint8)) >= {"frequency", "cumulative sums"}


def test_periodic_bits_fail(bits: NDArray[np.uint8]) -> None:
    """Whatever they are, the same come again and again."""
    again = np.tile(bits[:5000], BITS // 5000)
    assert failing(again) >= {"discrete Fourier transform", "serial", "approximate entropy"}


def test_bits_that_depend_on_the_one_before_fail(bits: NDArray[np.uint8]) -> None:
    """Every hundredth bit is the one before it, so neither has a bias."""
    spoilt = bits.copy()
    spoilt[1::100] = spoilt[::100]
    assert failing(spoilt) >= {"runs"}
