"""Compiled inner loops of the low-density parity-check codes, 64 bits of a frame at a time.

Layout. A column's bits (or beliefs) stand together, one byte each, and are followed by a copy of the first 64, so that
64 in a row can be read from any place of the ring. `stride` is the distance between two columns; `lanes_per_row` that
between two rows of checks, and between two edges' messages: `circulant` rounded up to 64.

A column is always kept turned as the row that wrote it last saw it. So writing never wraps around, and an edge reads
from the difference of two shifts on (`turn`). As reading and writing overlap, there are two copies of each column,
used by turns.
"""

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.compiled import compiled
from keyhop.link.bb84.reconciliation.ldpc_lanes import (
    LANES,
    Lanes,
    absolute,
    exclusive_or,
    load,
    negatives,
    quarter,
    repeat,
    saturating_add,
    saturating_subtract,
    sixteenth,
    store,
    subtract,
    times_four,
    unsigned_maximum,
    unsigned_minimum,
    unsigned_saturating_add,
    unsigned_saturating_subtract,
    where_equal,
    with_sign,
)

type Bytes = NDArray[np.int8]
type Indices = NDArray[np.int64]

STEP = 0.25
"""What one unit of a belief is as a natural log-likelihood ratio."""

FINER = 4
"""Within a check units are finer by this factor (see `times_four`, `quarter`), or sums over many bits would drift."""

MAX_CERTAINTY = 63
"""Of one bit within a check; in finer units it still fits a byte."""

MAX_MESSAGE = 31
"""Larger messages would drown a column's others once the sum saturates at 127."""

CORRECTION = 39
TAIL = 60
"""The two straight lines that stand for ln(1 + e^-x), in finer units: (39 - x) / 4 and, further out, (60 - x) / 16.

Found by trying which decode most frames; they lie a little below the curve near x = 0 and a little above it far out."""

TAIL_ITERATIONS = 40
"""What has not been decoded after so many mostly swings between two states, and settles without the second line."""


def stride_of(circulant: int) -> int:
    """What `repeat_start` needs for a column: a short ring's last copy ends up to twice 64 bytes behind it."""
    return -(-circulant // LANES) * LANES + (LANES if circulant >= LANES else 2 * LANES)


@compiled
def repeat_start(ring: Bytes, column: int, circulant: int) -> None:
    """Copies the first 64 bytes of the column at this place behind it; a short ring goes round several times."""
    for at in range(0, LANES, circulant):
        store(ring, column + circulant + at, load(ring, column + at))


@compiled
def spread(values: Bytes, turns: Indices, circulant: int, stride: int, rings: Bytes) -> None:
    """Lays out the columns' values, the first copies turned by `turns`, the second ones straight.

    `values` has `circulant` bytes per column and then 64 spare ones.
    """
    half = turns.size * stride
    for column in range(turns.size):
        straight, turned = half + column * stride, column * stride
        for z in range(0, circulant, LANES):
            store(rings, straight + z, load(values, column * circulant + z))
        repeat_start(rings, straight, circulant)
        for z in range(0, circulant, LANES):
            place = turns[column] + z
            if place >= circulant:
                place -= circulant
            store(rings, turned + z, load(rings, straight + place))
        repeat_start(rings, turned, circulant)


@compiled
def collect(rings: Bytes, copies: Indices, turns: Indices, circulant: int, stride: int, values: Bytes) -> None:
    """Takes the values back out of the copies in use, each turned back; `values` as in `spread`."""
    half = turns.size * stride
    for column in range(turns.size):
        ring = copies[column] * half + column * stride
        for z in range(0, circulant, LANES):
            place = z - turns[column]
            if place < 0:
                place += circulant
            store(values, column * circulant + z, load(rings, ring + place))


@compiled
def parities(rings: Bytes, first_edge: Indices, ring_of: Indices, turn: Indices, circulant: int, sums: Bytes) -> None:
    """The exclusive or of the values of each check, row by row at `lanes_per_row`; `ring_of` has one place per edge."""
    lanes_per_row = (circulant + LANES - 1) // LANES * LANES
    for row in range(first_edge.size - 1):
        for z in range(0, circulant, LANES):
            total = repeat(np.int8(0))
            for edge in range(first_edge[row], first_edge[row + 1]):
                place = turn[edge] + z
                if place >= circulant:
                    place -= circulant
                total = exclusive_or(total, load(rings, ring_of[edge] + place))
            store(sums, row * lanes_per_row + z, total)


@compiled
def certainty_of_sum(one: Lanes, other: Lanes, tail: Lanes) -> Lanes:
    """How certain the sum of two bits is, given how certain each is, in finer units.

    min(a, b) + ln(1 + e^-(a+b)) - ln(1 + e^-|a-b|), the logarithms by straight lines (Hu, Eleftheriou, Arnold and
    Dholakia, "Efficient implementations of the sum-product algorithm for decoding LDPC codes", 2001). `tail` is the
    second line's intercept; it matters where many certain bits meet, and only for the loss.
    """
    least = unsigned_minimum(one, other)
    difference = subtract(unsigned_maximum(one, other), least)
    correction = repeat(np.uint8(CORRECTION))
    loss = unsigned_maximum(
        quarter(unsigned_saturating_subtract(correction, difference)),
        sixteenth(unsigned_saturating_subtract(tail, difference)),
    )
    gain = quarter(unsigned_saturating_subtract(correction, unsigned_saturating_add(one, other)))
    return unsigned_saturating_subtract(unsigned_saturating_add(least, gain), loss)


@compiled
def tell(
    rings: Bytes,
    messages: Bytes,
    edges: tuple[int, int],
    targets: Indices,
    lanes_per_row: int,
    z: int,
    sign: Lanes,
    least: Lanes,
    others: Lanes,
    everything: Lanes,
) -> None:
    """The second half of `update_row` for 64 checks: their bits' beliefs, waiting in `messages`, take in the news."""
    top = repeat(np.uint8(MAX_CERTAINTY))
    for edge in range(edges[0], edges[1]):
        at = edge * lanes_per_row + z
        belief = load(messages, at)
        certainty = unsigned_minimum(absolute(belief), top)
        told = with_sign(where_equal(certainty, least, others, everything), exclusive_or(sign, belief))
        store(messages, at, told)
        store(rings, targets[edge - edges[0]] + z, saturating_add(belief, told))


@compiled
def update_row(
    rings: Bytes,
    messages: Bytes,
    syndrome: Bytes,
    edges: tuple[int, int],
    sources: Indices,
    targets: Indices,
    turn: Indices,
    circulant: int,
    row: int,
    tail_intercept: int,
) -> None:
    """One row of checks tells its bits what the others of each check say about them (A-min*: Jones et al., 2003).

    The least certain bit of a check hears the exact sum of the others, the others all hear the sum of all bits.
    """
    lanes_per_row = (circulant + LANES - 1) // LANES * LANES
    first, last = edges
    limit, top = repeat(np.uint8(MAX_MESSAGE)), repeat(np.uint8(MAX_CERTAINTY))
    half, tail = repeat(np.uint8(FINER // 2)), repeat(np.uint8(tail_intercept))
    for z in range(0, circulant, LANES):
        sign = load(syndrome, row * lanes_per_row + z)
        least = repeat(np.uint8(255))
        others = repeat(np.uint8(255))
        for edge in range(first, last):
            place = turn[edge] + z
            if place >= circulant:
                place -= circulant
            at = edge * lanes_per_row + z
            belief = saturating_subtract(load(rings, sources[edge - first] + place), load(messages, at))
            store(messages, at, belief)
            sign = exclusive_or(sign, belief)
            certainty = times_four(unsigned_minimum(absolute(belief), top))
            others = certainty_of_sum(others, unsigned_maximum(certainty, least), tail)
            least = unsigned_minimum(certainty, least)
        everything = unsigned_minimum(
            quarter(unsigned_saturating_add(certainty_of_sum(others, least, tail), half)), limit
        )
        others = unsigned_minimum(quarter(unsigned_saturating_add(others, half)), limit)
        least = quarter(least)
        tell(rings, messages, edges, targets, lanes_per_row, z, sign, least, others, everything)
    for edge in range(first, last):
        repeat_start(rings, targets[edge - first], circulant)


@compiled
def holds(
    rings: Bytes,
    syndrome: Bytes,
    first_edge: Indices,
    ring_of: Indices,
    turn: Indices,
    circulant: int,
) -> bool:
    """Whether the signs of all beliefs agree with the syndrome; stops at the first 64 checks that do not."""
    lanes_per_row = (circulant + LANES - 1) // LANES * LANES
    for row in range(first_edge.size - 1):
        for z in range(0, circulant, LANES):
            sign = load(syndrome, row * lanes_per_row + z)
            for edge in range(first_edge[row], first_edge[row + 1]):
                place = turn[edge] + z
                if place >= circulant:
                    place -= circulant
                sign = exclusive_or(sign, load(rings, ring_of[edge] + place))
            failing = negatives(sign)
            valid = min(LANES, circulant - z)
            if (failing << np.uint64(LANES - valid)) != 0:
                return False
    return True


@compiled
def decode(
    rings: Bytes,
    messages: Bytes,
    syndrome: Bytes,
    first_edge: Indices,
    column: Indices,
    turn: Indices,
    final_turn: Indices,
    copies: Indices,
    circulant: int,
    max_iterations: int,
) -> int:
    """Layered belief propagation (Hocevar, 2004): the iterations that it took, 0 if the syndrome was not met.

    `rings` holds the first beliefs as `spread` lays them out, and in the end the last ones in `copies`. `syndrome` is
    0 or -1 for each check, `messages` is room for `lanes_per_row` bytes per edge. `turn` is what each edge's shift is
    more than that of the row before that touched the column, `final_turn` more than that of the last row that does.
    """
    columns = copies.size
    stride = rings.size // (2 * columns)
    sources = np.zeros(columns, np.int64)
    targets = np.zeros(columns, np.int64)
    ring_of = np.zeros(column.size, np.int64)
    messages[:] = 0
    copies[:] = 0
    for iteration in range(max_iterations):
        tail = TAIL if iteration < TAIL_ITERATIONS else 0
        for row in range(first_edge.size - 1):
            first, last = first_edge[row], first_edge[row + 1]
            for edge in range(first, last):
                copy = copies[column[edge]]
                sources[edge - first] = (copy * columns + column[edge]) * stride
                targets[edge - first] = ((1 - copy) * columns + column[edge]) * stride
                copies[column[edge]] = 1 - copy
            update_row(rings, messages, syndrome, (first, last), sources, targets, turn, circulant, row, tail)
        for edge in range(column.size):
            ring_of[edge] = (copies[column[edge]] * columns + column[edge]) * stride
        if holds(rings, syndrome, first_edge, ring_of, final_turn, circulant):
            return iteration + 1
    return 0


def warm_up() -> None:
    """Compiles every kernel, on a code of two columns and one row."""
    two = np.zeros(2, np.int64)
    ends, edges = np.array([0, 2]), np.array([0, 1])
    stride = stride_of(1)
    values, rings, sums = np.zeros(2 + LANES, np.int8), np.zeros(4 * stride, np.int8), np.zeros(LANES, np.int8)
    spread(values, two, 1, stride, rings)
    parities(rings, ends, edges * stride, two, 1, sums)
    decode(rings, np.zeros(2 * LANES, np.int8), sums, ends, edges, two, two, two.copy(), 1, 1)
    collect(rings, two, two, 1, stride, values)
