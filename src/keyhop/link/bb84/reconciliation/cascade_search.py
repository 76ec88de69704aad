"""The numbers that a search for errors works on: made from a round's bits, read out at the end."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.reconciliation import Bits
from keyhop.link.bb84.reconciliation.cascade_order_kernels import prefix_parities
from keyhop.link.bb84.reconciliation.cascade_plan import Plan, words_for
from keyhop.link.bb84.reconciliation.cascade_words_kernels import COLUMNS, list_errors


class Search(NamedTuple):
    """Where the search for errors stands, for all frames of a round. Words are packed.

    Passes have orders of their own. A row is one pass of one frame, in its order: row = frame x passes + pass.
    `parities` has two columns, side by side because they are needed together:

    KNOWN     where the prefix parity of the errors is known
    PARITY    what it is, bit i for the first i positions; where it is not known that of the own bits, which is secret

    frame_bits    int32 [frames]
    block_bits    int32 [passes]
    orders        uint16 [passes, positions]: the bit at a position
    positions     uint16 [passes, bits]: the position of a bit
    subsets       uint64 [subsets, words]
    membership    uint16 [bits]: the subsets that a bit belongs to
    row_words     the words of a row
    parities      uint64 [rows x words x columns]
    found         uint64 [rows x words]: the errors found so far
    bits          uint64 [frames x words]: the own bits, secret
    odd           uint64 [rows, words]: blocks with an odd number of errors that are not found yet
    odd_subsets   uint16 [frames]: the same of subsets
    stage         int32 [frames]: the pass opened last; -1 at first, `passes` with the subsets, one more at the end
    tasks         uint64 [frames, tasks]: searches going on; see `task_of`
    task_count    int32 [frames]
    fresh         uint16 [frames, tasks]: errors found by the searches since these began
    fresh_count   int32 [frames]
    answers_from  int64 [frames]: where the answers to this frame's questions begin in the next message
    seen          uint64 [1]: what is read only to have it in the cache
    """

    frame_bits: NDArray[np.int32]
    block_bits: NDArray[np.int32]
    orders: NDArray[np.uint16]
    positions: NDArray[np.uint16]
    subsets: NDArray[np.uint64]
    membership: NDArray[np.uint16]
    row_words: int
    parities: NDArray[np.uint64]
    found: NDArray[np.uint64]
    bits: NDArray[np.uint64]
    odd: NDArray[np.uint64]
    odd_subsets: NDArray[np.uint16]
    stage: NDArray[np.int32]
    tasks: NDArray[np.uint64]
    task_count: NDArray[np.int32]
    fresh: NDArray[np.uint16]
    fresh_count: NDArray[np.int32]
    seen: NDArray[np.uint64]
    answers_from: NDArray[np.int64]

    def __repr__(self) -> str:  # the bits are the key
        return f"<search in {len(self.frame_bits)} frames>"


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
        tasks=np.empty((frames, tasks + 1), np.uint64),
        task_count=np.zeros(frames, np.int32),
        fresh=np.empty((frames, tasks), np.uint16),
        fresh_count=np.zeros(frames, np.int32),
        seen=np.zeros(1, np.uint64),
        answers_from=np.zeros(frames, np.int64),
    )


def most_questions(search: Search) -> int:
    """The most parities that one wave can ask for."""
    return search.fresh.size


def errors_found(search: Search) -> NDArray[np.int64]:
    """Their positions in the round, rising."""
    passes = search.block_bits.size
    in_bit_order = search.found.reshape(search.frame_bits.size, passes, search.row_words)[:, 0]
    errors = np.empty(int(np.bitwise_count(in_bit_order).sum()), np.int64)
    list_errors(in_bit_order, search.frame_bits, errors)
    return errors


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
