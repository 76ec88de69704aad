"""One wave of Cascade: what the other side's parities tell, and which parities both send next.

Both sides run this on the same numbers, apart from their own bits, and so always ask for the same parities.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.compiled import compiled

CONTRADICTION = -1
"""Instead of a number of parities: those of the other side cannot belong to any bits."""

COLUMNS = 2
PARITY = np.uint64(0)
KNOWN = np.uint64(1)

ONE = np.uint64(1)
TWO = np.uint64(2)
SIX = np.uint64(6)
PLACE = np.uint64(63)


class Search(NamedTuple):
    """Where the search for errors stands, for all frames of a round. Words are packed.

    Passes have orders of their own. A row is one pass of one frame, in its order: row = frame x passes + pass.
    `parities` has two columns, side by side because they are needed together:

    KNOWN     where the prefix parity of the errors is known
    PARITY    what it is, bit i for the first i positions; where it is not known that of the own bits, which is secret

    frame_bits    int32 [frames]
    block_bits    int32 [passes]
    orders        int32 [passes, positions]: the bit at a position
    positions     int32 [passes, bits]: the position of a bit
    subsets       uint64 [subsets, words]
    membership    uint16 [bits]: the subsets that a bit belongs to
    row_words     the words of a row
    parities      uint64 [rows x words x columns]
    found         uint64 [rows x words]: the errors found so far
    bits          uint64 [frames x words]: the own bits, secret
    odd           uint64 [rows, words]: blocks with an odd number of errors that are not found yet
    odd_subsets   uint16 [frames]: the same of subsets
    stage         int32 [frames]: the pass opened last; -1 at first, `passes` with the subsets, one more at the end
    tasks         int32 [frames, tasks, 3]: searches going on: a pass (or `passes` + subset) and a range with an odd
                  number of errors, from, to (exclusive)
    task_count    int32 [frames]
    fresh         int32 [frames, tasks]: errors found by the searches since these began
    fresh_count   int32 [frames]
    answers_from  int64 [frames]: where the answers to this frame's questions begin in the next message
    """

    frame_bits: NDArray[np.int32]
    block_bits: NDArray[np.int32]
    orders: NDArray[np.int32]
    positions: NDArray[np.int32]
    subsets: NDArray[np.uint64]
    membership: NDArray[np.uint16]
    row_words: int
    parities: NDArray[np.uint64]
    found: NDArray[np.uint64]
    bits: NDArray[np.uint64]
    odd: NDArray[np.uint64]
    odd_subsets: NDArray[np.uint16]
    stage: NDArray[np.int32]
    tasks: NDArray[np.int32]
    task_count: NDArray[np.int32]
    fresh: NDArray[np.int32]
    fresh_count: NDArray[np.int32]
    answers_from: NDArray[np.int64]


@compiled
def _bit(words: NDArray[np.uint64], base: int, position: int) -> np.uint64:
    """Of the row whose words begin at `base`."""
    return (words[np.uint64(base) + (np.uint64(position) >> SIX)] >> (np.uint64(position) & PLACE)) & ONE


@compiled
def _flip(words: NDArray[np.uint64], base: int, position: int, by: np.uint64) -> None:
    words[np.uint64(base) + (np.uint64(position) >> SIX)] ^= by << (np.uint64(position) & PLACE)


@compiled
def _column(parities: NDArray[np.uint64], base: int, column: np.uint64, position: int) -> np.uint64:
    word = np.uint64(base) + (np.uint64(position) >> SIX)
    return (parities[TWO * word + column] >> (np.uint64(position) & PLACE)) & ONE


@compiled
def _learn(parities: NDArray[np.uint64], base: int, position: int, parity: np.uint64) -> None:
    """From now on the parity of the errors in the first `position` positions is known."""
    word = TWO * (np.uint64(base) + (np.uint64(position) >> SIX))
    place = np.uint64(position) & PLACE
    parities[word + KNOWN] |= ONE << place
    parities[word + PARITY] = (parities[word + PARITY] & ~(ONE << place)) | (parity << place)


@compiled
def _parity(word: np.uint64) -> np.uint64:
    word ^= word >> np.uint64(32)
    word ^= word >> np.uint64(16)
    word ^= word >> np.uint64(8)
    word ^= word >> np.uint64(4)
    return (np.uint64(0x6996) >> (word & np.uint64(15))) & ONE


@compiled
def _below(position: int) -> np.uint64:
    return (ONE << (np.uint64(position) & PLACE)) - ONE


@compiled
def _range_parity(words: NDArray[np.uint64], base: int, start: int, end: int) -> np.uint64:
    """The parity of positions `start` to `end`, exclusive."""
    first = np.uint64(base) + (np.uint64(start) >> SIX)
    last = np.uint64(base) + (np.uint64(end) >> SIX)
    total = (words[first] & _below(start)) ^ (words[last] & _below(end))
    for word in range(first, last):
        total ^= words[word]
    return _parity(total)


@compiled
def _subset_parity(
    words: NDArray[np.uint64], base: int, subsets: NDArray[np.uint64], subset: int, start: int, end: int
) -> np.uint64:
    """The same of those positions, which must be in the order of the bits, that belong to the subset."""
    first = start >> 6
    last = end >> 6
    total = words[base + first] & subsets[subset, first] & _below(start)
    total ^= words[base + last] & subsets[subset, last] & _below(end)
    for word in range(first, last):
        total ^= words[base + word] & subsets[subset, word]
    return _parity(total)


@compiled
def _message_bit(message: NDArray[np.uint64], place: int) -> np.uint64:
    return (message[np.uint64(place) >> SIX] >> (np.uint64(place) & PLACE)) & ONE


@compiled
def _put(message: NDArray[np.uint64], place: int, parity: np.uint64) -> None:
    message[np.uint64(place) >> SIX] |= parity << (np.uint64(place) & PLACE)


@compiled
def _boundaries_asked(frame_bits: int, block_bits: int, order: int) -> int:
    """The blocks whose ends are asked for; the end of the last one is the whole frame, which the first pass told."""
    blocks = (frame_bits + block_bits - 1) // block_bits
    return blocks if order == 0 else blocks - 1


@compiled
def _ask_openings(search: Search, frames: NDArray[np.int32], outgoing: NDArray[np.uint64], asked: int) -> int:
    """Opens the next pass of each frame by asking for the parities of its blocks, or of the subsets."""
    passes, frame_bits = search.orders.shape
    parities, bits, subsets, stage = search.parities, search.bits, search.subsets, search.stage
    row_words = search.row_words
    block_bits, answers_from = search.block_bits, search.answers_from
    for frame in frames:
        stage[frame] += 1
        order = stage[frame]
        answers_from[frame] = asked
        if order == passes:
            for subset in range(subsets.shape[0]):
                _put(outgoing, asked, _subset_parity(bits, frame * row_words, subsets, subset, 0, frame_bits))
                asked += 1
        if order < passes:
            base = (frame * passes + order) * row_words
            size = block_bits[order]
            for block in range(_boundaries_asked(frame_bits, size, order)):
                _put(outgoing, asked, _column(parities, base, PARITY, min((block + 1) * size, frame_bits)))
                asked += 1
    return asked


@compiled
def _hear_openings(search: Search, frames: NDArray[np.int32], answers: NDArray[np.uint64]) -> None:
    """Finds out which blocks of a pass, or which subsets, are odd, and begins a search in each such block."""
    passes, frame_bits = search.orders.shape
    parities, found, odd, tasks, odd_subsets = (
        search.parities,
        search.found,
        search.odd,
        search.tasks,
        search.odd_subsets,
    )
    for frame in frames:
        order = search.stage[frame]
        heard = search.answers_from[frame]
        if order == passes:
            for subset in range(search.subsets.shape[0]):
                odd_subsets[frame] ^= np.uint16(_message_bit(answers, heard + subset) << np.uint64(subset))
            continue
        row = frame * passes + order
        base = row * search.row_words
        size = search.block_bits[order]
        whole = _column(parities, frame * passes * search.row_words, PARITY, frame_bits)
        asked = _boundaries_asked(frame_bits, size, order)
        odd[row, :] = np.uint64(0)
        count = 0
        before = np.uint64(0)
        start = 0
        for block in range((frame_bits + size - 1) // size):
            end = min(start + size, frame_bits)
            parity = _message_bit(answers, heard + block) if block < asked else whole
            _learn(parities, base, end, parity)
            is_odd = before ^ parity ^ _range_parity(found, base, start, end)
            odd[row, block >> 6] ^= is_odd << np.uint64(block & 63)
            tasks[frame, count, 0] = order
            tasks[frame, count, 1] = start
            tasks[frame, count, 2] = end
            count += np.int64(is_odd)
            before = parity
            start = end
        search.task_count[frame] = count


@compiled
def _note_found(search: Search, frames: NDArray[np.int32]) -> bool:
    """Takes the errors that the searches found out of all blocks and subsets. False when a frame had none new.

    Fresh errors that are not new leave the list: two searches of different passes may have found the same one.
    """
    passes = search.orders.shape[0]
    found, odd, fresh, positions, membership = (
        search.found,
        search.odd,
        search.fresh,
        search.positions,
        search.membership,
    )
    block_bits, fresh_count, odd_subsets = search.block_bits, search.fresh_count, search.odd_subsets
    row_words = search.row_words
    for frame in frames:
        new = 0
        for entry in range(fresh_count[frame]):
            bit = fresh[frame, entry]
            if bit >= search.frame_bits[frame] or _bit(found, frame * passes * row_words, bit):
                continue
            fresh[frame, new] = bit
            new += 1
            odd_subsets[frame] ^= membership[bit]
            for order in range(passes):
                position = positions[order, bit]
                block = np.uint32(position) // np.uint32(block_bits[order])
                _flip(found, (frame * passes + order) * row_words, position, ONE)
                odd[frame * passes + order, block >> np.uint32(6)] ^= ONE << np.uint64(block & np.uint32(63))
        if new == 0 and fresh_count[frame] > 0:
            return False
        fresh_count[frame] = new
    return True


@compiled
def _begin_searches(search: Search, frames: NDArray[np.int32]) -> None:
    """One search in every block that fresh errors left odd (all others are even); if there is none, in odd subsets.

    A block's mark is taken away while its search is put down, lest another error of the block begins a second one.
    """
    passes, frame_bits = search.orders.shape
    tasks, odd, fresh, positions, block_bits = (
        search.tasks,
        search.odd,
        search.fresh,
        search.positions,
        search.block_bits,
    )
    for frame in frames:
        count = 0
        for order in range(min(search.stage[frame] + 1, passes)):
            size = np.uint32(block_bits[order])
            for entry in range(search.fresh_count[frame]):
                block = np.uint32(positions[order, fresh[frame, entry]]) // size
                mark = ONE << np.uint64(block & np.uint32(63))
                if odd[frame * passes + order, block >> np.uint32(6)] & mark:
                    odd[frame * passes + order, block >> np.uint32(6)] ^= mark
                    tasks[frame, count, 0] = order
                    tasks[frame, count, 1] = block * size
                    tasks[frame, count, 2] = min(np.int64((block + np.uint32(1)) * size), frame_bits)
                    count += 1
        for task in range(count):
            order = tasks[frame, task, 0]
            block = np.uint32(tasks[frame, task, 1]) // np.uint32(block_bits[order])
            odd[frame * passes + order, block >> np.uint32(6)] ^= ONE << np.uint64(block & np.uint32(63))
        search.fresh_count[frame] = 0
        if count == 0 and search.stage[frame] == passes:
            for subset in range(search.subsets.shape[0]):
                if (search.odd_subsets[frame] >> np.uint16(subset)) & np.uint16(1):
                    tasks[frame, count, 0] = passes + subset
                    tasks[frame, count, 1] = 0
                    tasks[frame, count, 2] = frame_bits
                    count += 1
        search.task_count[frame] = count


@compiled
def _search(
    search: Search,
    frames: NDArray[np.int32],
    answered: bool,
    answers: NDArray[np.uint64],
    outgoing: NDArray[np.uint64],
    asked: int,
) -> int:
    """Halves the range of each search, with its answer and then as far as parities are known, and asks for the next."""
    passes = search.orders.shape[0]
    parities, found = search.parities, search.found
    tasks, orders, fresh, fresh_count = search.tasks, search.orders, search.fresh, search.fresh_count
    task_count, answers_from, bits, subsets = search.task_count, search.answers_from, search.bits, search.subsets
    row_words = search.row_words
    for frame in frames:
        heard = answers_from[frame]
        answers_from[frame] = asked
        kept = 0
        fresh_here = fresh_count[frame]
        for task in range(task_count[frame]):
            order = tasks[frame, task, 0]
            start = np.int64(tasks[frame, task, 1])
            end = np.int64(tasks[frame, task, 2])
            middle = (start + end + 1) >> 1
            answer = np.uint64(0)
            if answered:
                answer = _message_bit(answers, heard)
                heard += 1
            if order >= passes:
                subset = order - passes
                if answered:
                    first_row = frame * passes * row_words
                    left = answer ^ _subset_parity(found, first_row, subsets, subset, start, middle)
                    start = start if left else middle
                    end = middle if left else end
                    middle = (start + end + 1) >> 1
                own_parity = _subset_parity(bits, frame * row_words, subsets, subset, start, middle)
            else:
                base = (frame * passes + order) * row_words
                if answered:
                    _learn(parities, base, middle, answer)
                    left = answer ^ _column(parities, base, PARITY, start) ^ _range_parity(found, base, start, middle)
                    start = start if left else middle
                    end = middle if left else end
                    middle = (start + end + 1) >> 1
                while end - start > 1 and _column(parities, base, KNOWN, middle):
                    left = _column(parities, base, PARITY, start) ^ _column(parities, base, PARITY, middle)
                    left ^= _range_parity(found, base, start, middle)
                    start = start if left else middle
                    end = middle if left else end
                    middle = (start + end + 1) >> 1
                own_parity = _column(parities, base, PARITY, middle)
            if end - start > 1:
                tasks[frame, kept, 0] = order
                tasks[frame, kept, 1] = start
                tasks[frame, kept, 2] = end
                kept += 1
                _put(outgoing, asked, own_parity)
                asked += 1
            else:
                fresh[frame, fresh_here] = start if order >= passes else orders[order, start]
                fresh_here += 1
        task_count[frame] = kept
        fresh_count[frame] = fresh_here
    return asked


@compiled
def advance(search: Search, answers: NDArray[np.uint64], outgoing: NDArray[np.uint64]) -> int:
    """Takes every frame on to where it needs parities again. Returns how many, or CONTRADICTION.

    answers     packed: parities of the errors, as asked for by the wave before
    outgoing    must be zero; gets, packed, the own parities that are asked for next
    """
    end = search.orders.shape[0] + 1
    stage, task_count = search.stage, search.task_count
    active = np.flatnonzero(stage < end).astype(np.int32)
    searching = active[task_count[active] > 0]
    opened = active[(task_count[active] == 0) & (stage[active] >= 0)]
    idle = active[stage[active] < 0]
    asked = _search(search, searching, True, answers, outgoing, 0)
    _hear_openings(search, opened, answers)
    asked = _search(search, opened, False, answers, outgoing, asked)
    ready = np.concatenate((searching, opened, idle))
    while True:
        ready = ready[task_count[ready] == 0]
        if ready.size == 0:
            return asked
        if not _note_found(search, ready):
            return CONTRADICTION
        _begin_searches(search, ready)
        asked = _ask_openings(search, ready[task_count[ready] == 0], outgoing, asked)
        ready = ready[task_count[ready] > 0]
        asked = _search(search, ready, False, answers, outgoing, asked)
