"""The numbers that a search for errors works on: made from a round's bits, read out at the end."""

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.reconciliation import Bits
from keyhop.link.bb84.reconciliation.cascade_kernels import COLUMNS, Search
from keyhop.link.bb84.reconciliation.cascade_order_kernels import prefix_parities
from keyhop.link.bb84.reconciliation.cascade_plan import Plan, words_for


def begin(bits: Bits, plan: Plan) -> Search:
    """A search over `bits`, uint8 [round], where nothing is known of the errors yet."""
    frames = plan.frame_bits.size
    passes, longest = plan.orders.shape
    words = words_for(longest)
    rows = frames * passes
    packed = _packed_frames(bits, plan.frame_bits, words)
    parities = _zeros(rows * words * COLUMNS)
    prefix_parities(packed, plan.orders, parities.reshape(rows, words, COLUMNS))
    blocks = -(-longest // plan.block_bits)
    tasks = int(blocks.sum()) + plan.subsets.shape[0]
    return Search(
        *plan,
        row_words=words,
        parities=parities,
        found=_zeros(rows * words),
        bits=packed.reshape(-1),
        odd=np.zeros((rows, words_for(int(blocks.max()))), np.uint64),
        odd_subsets=np.zeros(frames, np.uint16),
        stage=np.full(frames, -1, np.int32),
        tasks=np.empty((frames, tasks + 1, 3), np.int32),
        task_count=np.zeros(frames, np.int32),
        fresh=np.empty((frames, tasks), np.int32),
        fresh_count=np.zeros(frames, np.int32),
        answers_from=np.zeros(frames, np.int64),
    )


def most_questions(search: Search) -> int:
    """The most parities that one wave can ask for."""
    frames, tasks = search.fresh.shape
    return frames * tasks


def errors_found(search: Search) -> NDArray[np.int64]:
    """Their positions in the round, rising."""
    passes, longest = search.orders.shape
    in_bit_order = search.found.reshape(search.frame_bits.size, passes, search.row_words)[:, 0]
    errors = [np.zeros(0, np.int64)]
    start = 0
    for words, size in zip(in_bit_order, search.frame_bits.tolist(), strict=True):
        found = np.unpackbits(words.view(np.uint8), count=longest, bitorder="little")
        errors.append(np.flatnonzero(found).astype(np.int64) + start)
        start += size
    return np.concatenate(errors)


def _zeros(size: int) -> NDArray[np.uint64]:
    """Filled by hand: fresh zero pages of the kernel are small, and random access over many of them is slow."""
    words = np.empty(size, np.uint64)
    words.fill(0)
    return words


def _packed_frames(bits: Bits, frame_bits: NDArray[np.int32], words: int) -> NDArray[np.uint64]:
    packed = np.zeros((frame_bits.size, words), "<u8")
    as_bytes = packed.view(np.uint8)
    start = 0
    for frame, size in enumerate(frame_bits.tolist()):
        row = np.packbits(bits[start : start + size], bitorder="little")
        as_bytes[frame, : row.size] = row
        start += size
    return packed.astype(np.uint64, copy=False)
