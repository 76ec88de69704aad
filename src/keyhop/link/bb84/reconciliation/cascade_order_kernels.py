"""Shuffled orders of a frame, and the prefix parities of many frames in them.

All frames share the orders, so 64 frames are shuffled by moving words that hold one bit of each.
"""

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.compiled import compiled


@compiled
def shuffle(draws: NDArray[np.uint32], orders: NDArray[np.uint16], positions: NDArray[np.uint16]) -> None:
    """Fisher-Yates in place on each row of `orders`; `positions` becomes its inverse. `draws` are uniform numbers.

    A draw times the number of choices, divided by 2^32, chooses with a bias of less than 2^-15: nothing hangs on it.
    """
    for row in range(orders.shape[0]):
        for last in range(orders.shape[1] - 1, 0, -1):
            chosen = (np.int64(draws[row, last]) * (last + 1)) >> 32
            moved = orders[row, chosen]
            orders[row, chosen] = orders[row, last]
            orders[row, last] = moved
        for position in range(orders.shape[1]):
            positions[row, orders[row, position]] = position


@compiled
def _transpose(square: NDArray[np.uint64]) -> None:
    """Bit j of word i changes places with bit i of word j: 64 by 64 bits, by halves (Warren, Hacker's Delight 7-3)."""
    half = 32
    mask = np.uint64(0x00000000FFFFFFFF)
    while half:
        shift = np.uint64(half)
        for base in range(0, 64, 2 * half):
            for low in range(base, base + half):
                swapped = ((square[low] >> shift) ^ square[low + half]) & mask
                square[low + half] ^= swapped
                square[low] ^= swapped << shift
        half >>= 1
        mask ^= mask << np.uint64(half)


@compiled
def prefix_parities(frames: NDArray[np.uint64], orders: NDArray[np.uint16], parities: NDArray[np.uint64]) -> None:
    """Bit i of a row of `parities`, in column 0, becomes the parity of the first i bits in the order of that pass.

    `frames` is [frames, words], packed; `parities` is [frames x passes, words, columns], with words for one position
    more than the frame has bits: a row for each pass of each frame.
    """
    frame_count, words = frames.shape
    passes, frame_bits = orders.shape
    together = np.empty(64 * words, np.uint64)
    summed = np.empty(64 * words, np.uint64)
    for first in range(0, frame_count, 64):
        here = min(64, frame_count - first)
        for word in range(words):
            square = together[64 * word : 64 * word + 64]
            square[:] = np.uint64(0)
            for frame in range(here):
                square[frame] = frames[first + frame, word]
            _transpose(square)
        for order in range(passes):
            total = np.uint64(0)
            for position in range(frame_bits):
                summed[position] = total
                total ^= together[orders[order, position]]
            summed[frame_bits:] = total
            for word in range(words):
                square = summed[64 * word : 64 * word + 64]
                _transpose(square)
                for frame in range(here):
                    parities[(first + frame) * passes + order, word, 0] = square[frame]


def warm_up() -> None:
    """Compiles the kernels of this file."""
    orders = np.zeros((1, 2), np.uint16)
    shuffle(np.zeros((1, 2), np.uint32), orders, orders.copy())
    prefix_parities(np.zeros((1, 1), np.uint64), orders, np.zeros((1, 1, 1), np.uint64))
