"""Toeplitz hashing against the matrix product, an independent convolution, and its own laws."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.fft  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keyhop.link.bb84.amplification.additive_fft import DIGIT_BITS
from keyhop.link.bb84.amplification.toeplitz import (
    MAX_KEY_BITS,
    good_key_bits,
    seed_bytes,
    toeplitz_hash,
    transform_log_size,
)

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "toeplitz.json").read_text())["vectors"]

type Bits = NDArray[np.uint8]


def pack(bits: Bits) -> Bits:
    return np.packbits(bits, bitorder="little")


def unpack(packed: bytes, count: int) -> Bits:
    return np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")[:count]


def by_matrix(seed: Bits, key: Bits, output_bits: int) -> bytes:
    row, column = np.indices((output_bits, key.size))
    matrix = seed[row - column + key.size - 1]
    return pack((matrix.astype(np.int64) @ key % 2).astype(np.uint8)).tobytes()


def by_convolution(seed: Bits, key: Bits, output_bits: int) -> bytes:
    """Exact while sums stay far below 2^53."""
    length = scipy.fft.next_fast_len(seed.size + key.size, real=True)
    spectrum = scipy.fft.rfft(seed.astype(np.float64), length) * scipy.fft.rfft(key.astype(np.float64), length)
    sums = scipy.fft.irfft(spectrum, length)[key.size - 1 : key.size - 1 + output_bits]
    assert np.abs(sums - np.rint(sums)).max() < 0.1
    return pack((np.rint(sums).astype(np.int64) & 1).astype(np.uint8)).tobytes()


def random_case(key_bits: int, output_bits: int) -> tuple[Bits, bytes]:
    random = np.random.default_rng([key_bits, output_bits])
    return random.integers(0, 2, key_bits, np.uint8), random.bytes(seed_bytes(key_bits, output_bits))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Bits, bytes, int]:
    key_bits = draw(st.integers(1, 700))
    output_bits = draw(st.integers(1, key_bits))
    return *random_case(key_bits, output_bits), output_bits


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['key_bits']}-{vector['output_bits']}")
def test_vectors(vector: dict[str, str | int]) -> None:
    key = np.frombuffer(bytes.fromhex(str(vector["key"])), np.uint8)
    hashed = toeplitz_hash(key, int(vector["key_bits"]), bytes.fromhex(str(vector["seed"])), int(vector["output_bits"]))
    assert hashed.hex() == vector["result"]


@settings(max_examples=300)
@given(cases())
def test_it_is_the_product_with_the_matrix(case: tuple[Bits, bytes, int]) -> None:
    key, seed, output_bits = case
    expected = by_matrix(unpack(seed, key.size + output_bits - 1), key, output_bits)
    assert toeplitz_hash(pack(key), key.size, seed, output_bits) == expected


@settings(max_examples=50)
@given(cases(), st.integers(0, 2**32))
def test_it_is_linear_in_the_key_and_in_the_seed(case: tuple[Bits, bytes, int], number: int) -> None:
    key, seed, output_bits = case
    random = np.random.default_rng(number)
    other_key, other_seed = random.integers(0, 2, key.size, np.uint8), random.bytes(len(seed))

    def hashed(of: Bits, by: bytes) -> int:
        return int.from_bytes(toeplitz_hash(pack(of), of.size, by, output_bits), "little")

    assert hashed(key ^ other_key, seed) == hashed(key, seed) ^ hashed(other_key, seed)
    both = bytes(x ^ y for x, y in zip(seed, other_seed, strict=True))
    assert hashed(key, both) == hashed(key, seed) ^ hashed(key, other_seed)


@pytest.mark.parametrize("output_fraction", [0.05, 0.27, 0.5, 1.0])
@pytest.mark.parametrize("log_size", range(8, 17))
def test_around_the_longest_key_of_each_transform(log_size: int, output_fraction: float) -> None:
    """There the transform is shorter than the product, and what wraps must miss the window."""

    def output_for(key_bits: int) -> int:
        return max(1, int(key_bits * output_fraction))

    longest, too_long = 1, 64 << log_size
    while too_long - longest > 1:
        middle = (longest + too_long) // 2
        fits = transform_log_size(middle, output_for(middle)) <= log_size
        longest, too_long = (middle, too_long) if fits else (longest, middle)
    assert 2 * longest + output_for(longest) > (DIGIT_BITS << log_size) - 64
    for key_bits in (longest - 1, longest, longest + 1):
        output_bits = output_for(key_bits)
        key, seed = random_case(key_bits, output_bits)
        expected = by_convolution(unpack(seed, key_bits + output_bits - 1), key, output_bits)
        assert toeplitz_hash(pack(key), key_bits, seed, output_bits) == expected


def test_a_long_key() -> None:
    key_bits = 262_144
    output_bits = 70_001
    key, seed = random_case(key_bits, output_bits)
    expected = by_convolution(unpack(seed, key_bits + output_bits - 1), key, output_bits)
    assert toeplitz_hash(pack(key), key_bits, seed, output_bits) == expected


def test_bits_that_fill_the_last_bytes_do_not_matter_and_are_not_made() -> None:
    key, seed = random_case(13, 5)
    hashed = toeplitz_hash(pack(key), 13, seed, 5)
    assert len(hashed) == 1
    assert hashed[0] < 1 << 5
    packed = pack(key) ^ np.array([0, 0xE0], np.uint8)
    before = packed.copy()
    assert toeplitz_hash(packed, 13, seed[:2] + bytes([seed[2] ^ 0xFE]), 5) == hashed
    assert np.array_equal(packed, before)


@pytest.mark.parametrize(("key_bits", "output_bits"), [(0, 0), (5, 0), (5, 6), (-1, -1), (MAX_KEY_BITS + 1, 1)])
def test_sizes_that_cannot_be_are_refused(key_bits: int, output_bits: int) -> None:
    with pytest.raises(ValueError, match="cannot be hashed"):
        seed_bytes(key_bits, output_bits)
    with pytest.raises(ValueError, match="cannot be hashed"):
        toeplitz_hash(np.zeros(1, np.uint8), key_bits, b"", output_bits)


@pytest.mark.parametrize("wrong", [-1, 1])
def test_lengths_that_do_not_match_are_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="the seed has"):
        toeplitz_hash(np.zeros(3, np.uint8), 20, bytes(seed_bytes(20, 10) + wrong), 10)
    with pytest.raises(ValueError, match="not packed"):
        toeplitz_hash(np.zeros(3 + wrong, np.uint8), 20, bytes(seed_bytes(20, 10)), 10)


def test_bits_that_are_not_packed_are_refused() -> None:
    with pytest.raises(ValueError, match="not packed in int64"):
        toeplitz_hash(np.zeros(3, np.int64), 20, bytes(seed_bytes(20, 10)), 10)


@pytest.mark.parametrize("output_fraction", [0.1, 0.27, 0.5, 1.0])
@pytest.mark.parametrize("wanted", [1000, 50_000, 1_000_000, 24_000_000, MAX_KEY_BITS])
def test_good_sizes_use_three_quarters_of_a_transform(wanted: int, output_fraction: float) -> None:
    key_bits = good_key_bits(wanted, output_fraction)
    output_bits = int(key_bits * output_fraction)
    if key_bits < MAX_KEY_BITS:
        assert key_bits + output_bits > 0.7 * (DIGIT_BITS << transform_log_size(key_bits, output_bits))
    assert wanted / 5 < key_bits < wanted * 5
    assert seed_bytes(key_bits, output_bits) > 0


@pytest.mark.parametrize(("wanted", "output_fraction"), [(0, 0.5), (MAX_KEY_BITS + 1, 0.5), (1000, 0.0), (1000, 1.1)])
def test_there_is_no_good_size_for_what_cannot_be(wanted: int, output_fraction: float) -> None:
    with pytest.raises(ValueError, match="no key of about"):
        good_key_bits(wanted, output_fraction)


def test_every_allowed_size_has_a_transform() -> None:
    assert transform_log_size(MAX_KEY_BITS, MAX_KEY_BITS) <= 24
    assert transform_log_size(1, 1) == 4
