"""What both sides of Cascade know of a round before its first parity: frames, block sizes, orders and subsets."""

import hashlib
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from keyhop.link.bb84.reconciliation.cascade_order_kernels import shuffle

FRAME_BITS = 1 << 16
"""Frames are about this long: longer ones come closer to the limit, but find their errors in more waves."""

MIN_QBER = 0.001
MAX_QBER = 0.12
"""Estimates outside are taken as these: blocks can be neither endless nor of a few bits."""

PASSES = 3
"""Passes over blocks. Two errors that share a block in all of them are left to the subsets."""

SUBSETS = 16
"""Random subsets of each frame whose parities are compared at the end. One frame in some twenty has errors left by
then; all subsets miss them with probability 2^-16.
"""

ERRORS_IN_FIRST_BLOCK = 0.9
ERRORS_IN_SECOND_BLOCK = 5.7
LAST_BLOCK_BITS = 8192
"""About so many errors are expected in a block of the first pass, at most so many in one of the second; the last pass
has blocks of this size at least."""


class Plan(NamedTuple):
    """Public, and the same at both sides.

    frame_bits    int32 [frames]: each one's size; they differ by at most one, shorter ones end in a bit that is 0
    block_bits    int32 [passes]: the size of the blocks of each pass
    orders        uint16 [passes, frame size]: the bit that stands at each position of a pass
    positions     uint16 [passes, frame size]: the position of each bit in a pass
    subsets       uint64 [subsets, words]: packed, bit i belongs to it where bit i is 1
    membership    uint16 [frame size]: the same the other way round, bit j for subset j
    """

    frame_bits: NDArray[np.int32]
    block_bits: NDArray[np.int32]
    orders: NDArray[np.uint16]
    positions: NDArray[np.uint16]
    subsets: NDArray[np.uint64]
    membership: NDArray[np.uint16]


def words_for(positions: int) -> int:
    """The 64-bit words that hold prefix parities at 0 to `positions` inclusive."""
    return positions // 64 + 1


def plan(round_bits: int, qber_estimate: float, seed: bytes) -> Plan:
    """How a round is reconciled. `seed` is public and must be chosen after the bits were transmitted."""
    frame_count = -(-round_bits // FRAME_BITS)
    longest = -(-round_bits // frame_count)
    frame_bits = np.full(frame_count, longest, np.int32)
    shorter = frame_count * longest - round_bits
    frame_bits[frame_count - shorter :] -= 1
    words = words_for(longest)
    drawn = (PASSES - 1) * longest
    stream = _random_bytes(seed, 2 * 64 * words + 4 * drawn)
    membership = np.frombuffer(stream, "<u2", 64 * words).astype(np.uint16)[:longest]
    draws = np.frombuffer(stream, "<u4", drawn, 2 * 64 * words).astype(np.uint32)
    orders, positions = _orders(draws.reshape(PASSES - 1, longest))
    return Plan(frame_bits, _block_bits(longest, qber_estimate), orders, positions, _subsets(membership), membership)


def _random_bytes(seed: bytes, size: int) -> bytes:
    """The key stream of AES-256 in counter mode under a hash of the seed: the same everywhere, and quickly made."""
    key = hashlib.sha256(b"keyhop cascade" + seed).digest()
    return Cipher(AES(key), CTR(bytes(16))).encryptor().update(bytes(size))


def _block_bits(frame_bits: int, qber_estimate: float) -> NDArray[np.int32]:
    """Powers of two, which halve evenly and so find an error with the fewest parities. The step from one to the next is
    long in the second pass: there 7/4 of one is better than to stay with it.
    """
    qber = min(max(qber_estimate, MIN_QBER), MAX_QBER)
    first = _nearest_power_of_two(ERRORS_IN_FIRST_BLOCK / qber)
    most = int(ERRORS_IN_SECOND_BLOCK / qber)
    second = _power_of_two(most)
    if second * 7 // 4 <= most:
        second = second * 7 // 4
    last = max(LAST_BLOCK_BITS, 4 * second)
    return np.array([min(size, frame_bits // 2) for size in (first, second, last)], np.int32)


def _nearest_power_of_two(size: float) -> int:
    """By ratio. Only products are compared, which every machine rounds alike."""
    below = _power_of_two(int(size))
    return 2 * below if size * size >= 2 * below * below else below


def _power_of_two(most: int) -> int:
    """The largest that is not above."""
    return 1 << (most.bit_length() - 1)


def _orders(draws: NDArray[np.uint32]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The first pass takes the bits as they come, the others shuffle them."""
    shuffled, frame_bits = draws.shape
    orders = np.empty((1 + shuffled, frame_bits), np.uint16)
    orders[:] = np.arange(frame_bits, dtype=np.uint16)
    positions = orders.copy()
    shuffle(draws, orders[1:], positions[1:])
    return orders, positions


def _subsets(membership: NDArray[np.uint16]) -> NDArray[np.uint64]:
    subsets = np.zeros((SUBSETS, words_for(membership.size)), np.uint64)
    as_bytes = subsets.view(np.uint8)
    for subset in range(SUBSETS):
        packed = np.packbits((membership >> subset) & 1, bitorder="little")
        as_bytes[subset, : packed.size] = packed
    return subsets
