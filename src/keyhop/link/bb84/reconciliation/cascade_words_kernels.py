"""Bits, ranges and searches in packed words: the small change of Cascade's kernels.

A row is a stretch of words that begins at `base`; bit i of it stands in word i // 64 at i % 64.
"""

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.compiled import compiled

COLUMNS = 2
PARITY = np.uint64(0)
KNOWN = np.uint64(1)

ONE = np.uint64(1)
TWO = np.uint64(2)
SIX = np.uint64(6)
PLACE = np.uint64(63)

DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
PLACES = np.zeros(64, np.int64)
PLACES[[(int(DE_BRUIJN) << place & 0xFFFFFFFFFFFFFFFF) >> 58 for place in range(64)]] = np.arange(64)


@compiled
def bit_at(words: NDArray[np.uint64], base: int, position: int) -> np.uint64:
    word: np.uint64 = words[np.uint64(base) + (np.uint64(position) >> SIX)]
    return (word >> (np.uint64(position) & PLACE)) & ONE


@compiled
def flip(words: NDArray[np.uint64], base: int, position: int, by: np.uint64) -> None:
    words[np.uint64(base) + (np.uint64(position) >> SIX)] ^= by << (np.uint64(position) & PLACE)


@compiled
def column_bit(parities: NDArray[np.uint64], base: int, column: np.uint64, position: int) -> np.uint64:
    word: np.uint64 = parities[TWO * (np.uint64(base) + (np.uint64(position) >> SIX)) + column]
    return (word >> (np.uint64(position) & PLACE)) & ONE


@compiled
def learn(parities: NDArray[np.uint64], base: int, position: int, parity: np.uint64) -> None:
    """From now on the parity of the errors in the first `position` positions is known."""
    word = TWO * (np.uint64(base) + (np.uint64(position) >> SIX))
    place = np.uint64(position) & PLACE
    parities[word + KNOWN] |= ONE << place
    parities[word + PARITY] = (parities[word + PARITY] & ~(ONE << place)) | (parity << place)


@compiled
def parity_of(word: np.uint64) -> np.uint64:
    word ^= word >> np.uint64(32)
    word ^= word >> np.uint64(16)
    word ^= word >> np.uint64(8)
    word ^= word >> np.uint64(4)
    return (np.uint64(0x6996) >> (word & np.uint64(15))) & ONE


@compiled
def below(position: int) -> np.uint64:
    return (ONE << (np.uint64(position) & PLACE)) - ONE


@compiled
def range_parity(words: NDArray[np.uint64], base: int, start: int, end: int) -> np.uint64:
    """The parity of positions `start` to `end`, exclusive."""
    first = np.uint64(base) + (np.uint64(start) >> SIX)
    last = np.uint64(base) + (np.uint64(end) >> SIX)
    total = (words[first] & below(start)) ^ (words[last] & below(end))
    for word in range(first, last):
        total ^= words[word]
    return parity_of(total)


@compiled
def subset_parity(
    words: NDArray[np.uint64], base: int, subsets: NDArray[np.uint64], subset: int, start: int, end: int
) -> np.uint64:
    """The same of those positions, which must be in the order of the bits, that belong to the subset."""
    first = start >> 6
    last = end >> 6
    total = words[base + first] & subsets[subset, first] & below(start)
    total ^= words[base + last] & subsets[subset, last] & below(end)
    for word in range(first, last):
        total ^= words[base + word] & subsets[subset, word]
    return parity_of(total)


@compiled
def moved(table: NDArray[np.uint16], order: int, place: int) -> int:
    """A position for a bit, or a bit for a position. The first pass moves none, and needs no look at the table."""
    return place if order == 0 else int(table[order, place])


@compiled
def task_of(order: int, start: int, end: int) -> np.uint64:
    """A search: a pass (or `passes` + subset), and a range with an odd number of errors, `end` exclusive."""
    return np.uint64(order << 40 | start << 20 | end)


@compiled
def task_fields(task: np.uint64) -> tuple[int, int, int]:
    packed = int(np.int64(task))
    return packed >> 40, packed >> 20 & 0xFFFFF, packed & 0xFFFFF


@compiled
def message_bit(message: NDArray[np.uint64], place: int) -> np.uint64:
    return bit_at(message, 0, place)


@compiled
def put(message: NDArray[np.uint64], place: int, parity: np.uint64) -> None:
    message[np.uint64(place) >> SIX] |= parity << (np.uint64(place) & PLACE)


@compiled
def list_errors(found: NDArray[np.uint64], frame_bits: NDArray[np.int32], errors: NDArray[np.int64]) -> None:
    """Puts the positions in the round of all ones in `found`, [frames, words], into `errors`, which has room for them.

    A lone bit times a de Bruijn sequence has a pattern of its own in the highest six (Leiserson and others, 1998).
    """
    count = 0
    offset = 0
    for frame in range(found.shape[0]):
        for word in range(found.shape[1]):
            left = found[frame, word]
            while left:
                lowest = left & (~left + ONE)
                errors[count] = offset + 64 * word + PLACES[(lowest * DE_BRUIJN) >> np.uint64(58)]
                count += 1
                left ^= lowest
        offset += frame_bits[frame]


def warm_up() -> None:
    """Compiles the kernel of this file that is called from outside; the others are compiled into their callers."""
    list_errors(np.zeros((2, 3, 1), np.uint64)[:, 0], np.zeros(2, np.int32), np.zeros(0, np.int64))
