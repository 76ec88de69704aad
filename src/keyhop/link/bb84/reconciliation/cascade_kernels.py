"""One wave of Cascade: what the other side's parities tell, and which parities both send next.

Both sides run this on the same numbers, apart from their own bits, and so always ask for the same parities. Each kernel
goes through all frames that are due: entering one costs as much as many steps of a search.
"""

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.compiled import compiled
from keyhop.link.bb84.reconciliation.cascade_plan import plan
from keyhop.link.bb84.reconciliation.cascade_search import Search, begin, most_questions
from keyhop.link.bb84.reconciliation.cascade_words_kernels import (
    KNOWN,
    ONE,
    PARITY,
    SIX,
    TWO,
    bit_at,
    column_bit,
    flip,
    learn,
    message_bit,
    moved,
    put,
    range_parity,
    subset_parity,
    task_fields,
    task_of,
)

CONTRADICTION = -1
"""Instead of a number of parities: those of the other side cannot belong to any bits."""


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
                put(outgoing, asked, subset_parity(bits, frame * row_words, subsets, subset, 0, frame_bits))
                asked += 1
        if order < passes:
            base = (frame * passes + order) * row_words
            size = block_bits[order]
            for block in range(_boundaries_asked(frame_bits, size, order)):
                put(outgoing, asked, column_bit(parities, base, PARITY, min((block + 1) * size, frame_bits)))
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
                odd_subsets[frame] ^= np.uint16(message_bit(answers, heard + subset) << np.uint64(subset))
            continue
        row = frame * passes + order
        base = row * search.row_words
        size = search.block_bits[order]
        whole = column_bit(parities, frame * passes * search.row_words, PARITY, frame_bits)
        asked = _boundaries_asked(frame_bits, size, order)
        odd[row, :] = np.uint64(0)
        count = 0
        before = np.uint64(0)
        start = 0
        for block in range((frame_bits + size - 1) // size):
            end = min(start + size, frame_bits)
            parity = message_bit(answers, heard + block) if block < asked else whole
            learn(parities, base, end, parity)
            is_odd = before ^ parity ^ range_parity(found, base, start, end)
            odd[row, block >> 6] ^= is_odd << np.uint64(block & 63)
            tasks[frame, count] = task_of(order, start, end)
            count += int(np.int64(is_odd))
            before = parity
            start = end
        search.task_count[frame] = count


@compiled
def _fetch_found(search: Search, frame: int) -> None:
    """Reads the words that `_note_found` needs, so that they come into the cache all at once."""
    passes = search.orders.shape[0]
    positions, fresh, found = search.positions, search.fresh, search.found
    seen = np.uint64(0)
    for entry in range(search.fresh_count[frame]):
        for order in range(1, passes):
            position = positions[order, fresh[frame, entry]]
            seen ^= found[np.uint64((frame * passes + order) * search.row_words) + (np.uint64(position) >> SIX)]
    search.seen[0] = seen


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
        _fetch_found(search, frame)
        new = 0
        for entry in range(fresh_count[frame]):
            bit = fresh[frame, entry]
            if bit >= search.frame_bits[frame] or bit_at(found, frame * passes * row_words, bit):
                continue
            fresh[frame, new] = bit
            new += 1
            odd_subsets[frame] ^= membership[bit]
            for order in range(passes):
                position = moved(positions, order, bit)
                block = np.uint32(position) // np.uint32(block_bits[order])
                flip(found, (frame * passes + order) * row_words, position, ONE)
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
                block = np.uint32(moved(positions, order, fresh[frame, entry])) // size
                mark = ONE << np.uint64(block & np.uint32(63))
                if odd[frame * passes + order, block >> np.uint32(6)] & mark:
                    odd[frame * passes + order, block >> np.uint32(6)] ^= mark
                    start = int(np.int64(block * size))
                    tasks[frame, count] = task_of(order, start, min(start + int(block_bits[order]), frame_bits))
                    count += 1
        for task in range(count):
            order, start, _ = task_fields(tasks[frame, task])
            block = np.uint32(start) // np.uint32(block_bits[order])
            odd[frame * passes + order, block >> np.uint32(6)] ^= ONE << np.uint64(block & np.uint32(63))
        search.fresh_count[frame] = 0
        if count == 0 and search.stage[frame] == passes:
            for subset in range(search.subsets.shape[0]):
                if (search.odd_subsets[frame] >> np.uint16(subset)) & np.uint16(1):
                    tasks[frame, count] = task_of(passes + subset, 0, frame_bits)
                    count += 1
        search.task_count[frame] = count


@compiled
def _fetch_search(search: Search, frame: int) -> None:
    """The same with the words that the searches need next."""
    passes = search.orders.shape[0]
    parities, found, tasks = search.parities, search.found, search.tasks
    seen = np.uint64(0)
    for task in range(search.task_count[frame]):
        order, start, end = task_fields(tasks[frame, task])
        if order < passes:
            base = np.uint64((frame * passes + order) * search.row_words)
            word = base + (np.uint64((start + end + 1) >> 1) >> SIX)
            seen ^= parities[TWO * word] ^ found[word]
    search.seen[0] = seen


@compiled
def _odd(
    parities: NDArray[np.uint64], found: NDArray[np.uint64], base: int, start: int, end: int, end_parity: np.uint64
) -> np.uint64:
    """Whether a range has an odd number of errors that are not found yet; `end_parity` is PARITY at its end."""
    return end_parity ^ column_bit(parities, base, PARITY, start) ^ range_parity(found, base, start, end)


@compiled
def _half(start: int, middle: int, end: int, first: np.uint64) -> tuple[int, int]:
    """The first half of a range, or the second."""
    return (start if first else middle), (middle if first else end)


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
    parities, found, bits, subsets = search.parities, search.found, search.bits, search.subsets
    tasks, orders, fresh, fresh_count = search.tasks, search.orders, search.fresh, search.fresh_count
    task_count, answers_from, row_words = search.task_count, search.answers_from, search.row_words
    for frame in frames:
        heard = answers_from[frame]
        answers_from[frame] = asked
        kept = 0
        fresh_here = fresh_count[frame]
        _fetch_search(search, frame)
        for task in range(task_count[frame]):
            order, start, end = task_fields(tasks[frame, task])
            answer = message_bit(answers, heard + task) if answered else np.uint64(0)
            middle = (start + end + 1) >> 1
            if order < passes:
                base = (frame * passes + order) * row_words
                if answered:
                    learn(parities, base, middle, answer)
                    start, end = _half(start, middle, end, _odd(parities, found, base, start, middle, answer))
                    middle = (start + end + 1) >> 1
                while end - start > 1 and column_bit(parities, base, KNOWN, middle):
                    parity = column_bit(parities, base, PARITY, middle)
                    start, end = _half(start, middle, end, _odd(parities, found, base, start, middle, parity))
                    middle = (start + end + 1) >> 1
                own_parity = column_bit(parities, base, PARITY, middle)
            else:
                subset = order - passes
                if answered:
                    answer ^= subset_parity(found, frame * passes * row_words, subsets, subset, start, middle)
                    start, end = _half(start, middle, end, answer)
                own_parity = subset_parity(bits, frame * row_words, subsets, subset, start, (start + end + 1) >> 1)
            if end - start > 1:
                tasks[frame, kept] = task_of(order, start, end)
                kept += 1
                put(outgoing, asked, own_parity)
                asked += 1
            else:
                fresh[frame, fresh_here] = start if order >= passes else moved(orders, order, start)
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


def warm_up() -> None:
    """Compiles the kernels of this file."""
    search = begin(np.zeros(1000, np.uint8), plan(1000, 0.05, b""))
    message = np.zeros(most_questions(search) // 64 + 2, np.uint64)
    advance(search, message, message.copy())
