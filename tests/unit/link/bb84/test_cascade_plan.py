"""The public choices of a Cascade round, against the same said plainly."""

import hashlib
import struct

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from keyhop.link.adapter import MAX_MESSAGE_BYTES
from keyhop.link.bb84.reconciliation.cascade_order_kernels import prefix_parities
from keyhop.link.bb84.reconciliation.cascade_plan import plan, words_for


def test_orders_and_subsets_come_from_the_seed_as_described() -> None:
    size = 1_500
    made = plan(size, 0.02, b"seed")
    words = words_for(size)
    key = hashlib.sha256(b"keyhop cascade" + b"seed").digest()
    stream = Cipher(AES(key), CTR(bytes(16))).encryptor().update(bytes(128 * words + 8 * size))
    assert made.membership.tolist() == [value[0] for value in struct.iter_unpack("<H", stream[: 2 * size])]
    draws = [value[0] for value in struct.iter_unpack("<I", stream[128 * words :])]
    for order, mine in zip(made.orders[1:].tolist(), (draws[:size], draws[size:]), strict=True):
        expected = list(range(size))
        for last in range(size - 1, 0, -1):
            chosen = mine[last] * (last + 1) >> 32
            expected[chosen], expected[last] = expected[last], expected[chosen]
        assert order == expected
    assert made.orders[0].tolist() == list(range(size))


def test_positions_and_memberships_are_the_other_way_round_of_orders_and_subsets() -> None:
    size = 65_536
    made = plan(size, 0.02, b"seed")
    for order, positions in zip(made.orders, made.positions, strict=True):
        assert np.array_equal(positions[order], np.arange(size))
    for number, subset in enumerate(made.subsets):
        members = np.unpackbits(subset.astype("<u8").view(np.uint8), count=size, bitorder="little")
        assert np.array_equal(members, made.membership >> number & 1)
        assert 0.49 < members.mean() < 0.51


@pytest.mark.parametrize(
    ("round_bits", "frames"), [(1_000, 1), (65_536, 1), (65_537, 2), (1_000_003, 16), (24_000_000, 367)]
)
def test_frames_are_nearly_equal_and_none_is_over_the_size(round_bits: int, frames: int) -> None:
    sizes = plan(round_bits, 0.02, b"").frame_bits
    assert sizes.size == frames
    assert sizes.sum() == round_bits
    assert sizes.max() - sizes.min() <= 1
    assert sizes.max() <= 65_536


@pytest.mark.parametrize(
    ("qber", "sizes"),
    [
        (0.02, [32, 256, 8192]),
        (0.032, [32, 128, 8192]),
        (0.05, [16, 112, 8192]),
        (0.0, [1024, 4096, 16_384]),
        (0.4, [8, 32, 8192]),
    ],
)
def test_block_sizes_follow_the_clamped_estimate(qber: float, sizes: list[int]) -> None:
    assert plan(65_536, qber, b"").block_bits.tolist() == sizes


def test_no_wave_of_the_largest_round_is_too_large_for_one_message() -> None:
    made = plan(40_000_000, 0.12, b"")
    blocks = sum(-(-made.orders.shape[1] // int(block)) for block in made.block_bits)
    assert 8 + made.frame_bits.size * (blocks + len(made.subsets)) // 8 < MAX_MESSAGE_BYTES


@pytest.mark.parametrize(("frames", "size"), [(1, 64), (3, 1_000), (130, 65)])
def test_prefix_parities_are_sums_of_the_bits_in_order(frames: int, size: int) -> None:
    rng = np.random.default_rng(frames)
    bits = rng.integers(0, 2, (frames, size), np.uint8)
    orders = np.stack([rng.permutation(size) for _ in range(2)]).astype(np.uint16)
    words = words_for(size)
    packed = np.zeros((frames, 8 * words), np.uint8)
    packed[:, : (size + 7) // 8] = np.packbits(bits, axis=1, bitorder="little")
    parities = np.zeros((2 * frames, words, 2), np.uint64)
    prefix_parities(packed.view("<u8").astype(np.uint64), orders, parities)
    for frame in range(frames):
        for number, order in enumerate(orders):
            words_made = np.ascontiguousarray(parities[2 * frame + number, :, 0]).astype("<u8")
            made = np.unpackbits(words_made.view(np.uint8), count=size + 1, bitorder="little")
            assert np.array_equal(made, np.concatenate(([0], np.cumsum(bits[frame, order]) % 2)))
