"""The family of quasi-cyclic low-density parity-check codes: which one a round uses, and how it is made.

A code is a small bipartite graph (columns are groups of `circulant` bits, rows are groups of `circulant` parity
checks) whose every edge stands for a circulant: a rotated identity matrix of size `circulant` x `circulant`. Check z of
row r is the parity of the bits (z + shift) modulo `circulant` of its columns.

- How many columns have which degree comes from density evolution on the binary symmetric channel (Richardson and
  Urbanke, 2001) with quantised messages, searched by differential evolution for the least work per bit 15 % above
  Shannon's limit and for convergence 10 % above it. At the highest rates columns of degree 2 were taken out again,
  because they leave single bits wrong. Between the designs of the table the numbers are interpolated.
- The edges are laid by progressive edge growth (Hu, Eleftheriou and Arnold, 2005), with the rows' degrees kept level.
- The shifts avoid cycles of length 4 and, where they can, of length 6 (Fossorier, 2004).

A code is made when it is first used, from nothing but its three sizes. Integers and SHAKE-128 are all that goes into
it, so both ends have the same one on every platform.
"""

import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

COLUMNS = 256
MAX_CIRCULANT = 512
MAX_FRAME_BITS = COLUMNS * MAX_CIRCULANT
"""In longer frames errors scatter less; what a decoder needs for one of this size still fits into a core's cache."""

_COLUMN_CHOICES = (256, 252, 248, 244, 240)
_DEVIATIONS = 3.2
"""A wrong frame is lost as a whole, so that a little more disclosed by all frames is worth rare failures."""

_DEGREES = (2, 3, 4, 6, 9, 16)


@dataclass(frozen=True, slots=True)
class _Design:
    """For `rows` rows and 256 columns: how many columns have each of the degrees.

    `qber` is the error rate within a frame up to which it is usually decoded: measured with frames of 131,072 bits.
    """

    rows: int
    columns_by_degree: tuple[int, ...]
    qber: float


_DESIGNS = (
    _Design(14, (0, 143, 0, 52, 1, 60), 0.00517),
    _Design(16, (0, 149, 0, 51, 1, 55), 0.00613),
    _Design(20, (10, 144, 0, 47, 0, 55), 0.00802),
    _Design(26, (20, 140, 0, 41, 4, 51), 0.01115),
    _Design(32, (31, 131, 0, 44, 0, 50), 0.01458),
    _Design(40, (39, 127, 5, 37, 0, 48), 0.01988),
    _Design(52, (41, 136, 8, 13, 18, 40), 0.02808),
    _Design(64, (41, 135, 23, 4, 12, 41), 0.03677),
    _Design(76, (41, 149, 11, 4, 13, 38), 0.04594),
    _Design(90, (42, 162, 1, 1, 17, 33), 0.05746),
    _Design(104, (43, 166, 0, 2, 14, 31), 0.06958),
    _Design(120, (52, 161, 1, 1, 15, 26), 0.08470),
    _Design(140, (54, 168, 0, 0, 9, 25), 0.10618),
)


@dataclass(frozen=True, slots=True)
class Code:
    """One parity-check matrix. Edges are in the order of their rows: those of row r are `first_edge[r]` up to
    `first_edge[r + 1]`; `column` and `shift` have one value per edge. The arrays are shared: not to be changed.
    """

    columns: int
    rows: int
    circulant: int
    first_edge: NDArray[np.int64]
    column: NDArray[np.int64]
    shift: NDArray[np.int64]

    @property
    def bits(self) -> int:
        """The code's length."""
        return self.columns * self.circulant

    @property
    def checks(self) -> int:
        """Bits of a syndrome."""
        return self.rows * self.circulant


def choose(frame_bits: int, qber: float) -> tuple[Code, float]:
    """The code that discloses least among those that correct nearly all such frames, or else the strongest one.

    Of frames of 65,536 bits and more, "nearly all" is 99 %; of shorter ones about 95 %.

    `frame_bits` is the size of a frame, up to MAX_FRAME_BITS; `qber`, a fraction, the probability that a bit is wrong.
    Also returns the error rate to decode for: one that few frames exceed.
    """
    worst = qber + _DEVIATIONS * math.sqrt(qber * (1 - qber) / frame_bits)
    worst = min(max(worst, _DESIGNS[0].qber), _DESIGNS[-1].qber)
    after = max(bisect_left(_DESIGNS, worst, key=lambda design: design.qber), 1)
    lower, upper = _DESIGNS[after - 1], _DESIGNS[after]
    rows_of_256 = lower.rows + (upper.rows - lower.rows) * (worst - lower.qber) / (upper.qber - lower.qber)
    columns = min(_COLUMN_CHOICES, key=lambda choice: math.ceil(rows_of_256 * choice / COLUMNS - 1e-9) / choice)
    rows = math.ceil(rows_of_256 * columns / COLUMNS - 1e-9)
    return code_of(columns, rows, -(-frame_bits // columns)), worst


@lru_cache(maxsize=64)
def code_of(columns: int, rows: int, circulant: int) -> Code:
    """Makes the code of these sizes, which takes some tenths of a second."""
    rows_of = _base_graph(columns, rows, _random(f"keyhop ldpc base graph {columns} {rows}"))
    shifts_of = _shifts(rows_of, rows, circulant, _random(f"keyhop ldpc shifts {columns} {rows} {circulant}"))
    edges = sorted(
        (row, column, shift)
        for column, (of_rows, of_shifts) in enumerate(zip(rows_of, shifts_of, strict=True))
        for row, shift in zip(of_rows, of_shifts, strict=True)
    )
    degrees = np.bincount([row for row, _, _ in edges], minlength=rows)
    return Code(
        columns,
        rows,
        circulant,
        np.concatenate((np.zeros(1, np.int64), np.cumsum(degrees, dtype=np.int64))),
        np.array([column for _, column, _ in edges], np.int64),
        np.array([shift for _, _, shift in edges], np.int64),
    )


def _random(label: str) -> Iterator[int]:
    """An endless row of 32-bit numbers that depends on nothing but the label."""
    counter = 0
    while True:
        block = hashlib.shake_128(f"{label} {counter}".encode()).digest(4096)
        yield from (int.from_bytes(block[at : at + 4], "little") for at in range(0, 4096, 4))
        counter += 1


def _column_degrees(columns: int, rows: int) -> list[int]:
    """The degree of each column, rising: the designs' table, interpolated at this ratio of rows to columns."""
    after = bisect_left(_DESIGNS, rows * COLUMNS / columns, key=lambda design: design.rows)
    after = min(max(after, 1), len(_DESIGNS) - 1)
    lower, upper = _DESIGNS[after - 1], _DESIGNS[after]
    span = (upper.rows - lower.rows) * columns
    weight = min(max(rows * COLUMNS - lower.rows * columns, 0), span)
    counts = [
        ((span - weight) * few + weight * many) * columns // (span * COLUMNS)
        for few, many in zip(lower.columns_by_degree, upper.columns_by_degree, strict=True)
    ]
    counts[1] += columns - sum(counts)
    return [min(degree, rows) for degree, count in zip(_DEGREES, counts, strict=True) for _ in range(count)]


def _base_graph(columns: int, rows: int, random: Iterator[int]) -> list[list[int]]:
    """The rows of each column, by progressive edge growth: each new edge goes as far away as it can."""
    degree_of_row = [0] * rows
    neighbours = [0] * rows  # bit s of element r: rows r and s share a column
    rows_of: list[list[int]] = []
    for number, degree in enumerate(_column_degrees(columns, rows)):
        mine: list[int] = []
        # Rows stay level within one edge at first and exactly later: the last columns even out what distance cost.
        slack = 1 if 10 * number < 7 * columns else 0
        for _ in range(degree):
            free = [row for row in range(rows) if row not in mine]
            level = min(degree_of_row[row] for row in free) + slack
            free = [row for row in free if degree_of_row[row] <= level]
            row = _farthest(free, mine, neighbours, degree_of_row, random)
            degree_of_row[row] += 1
            mine.append(row)
            joined = sum(1 << other for other in mine)
            for other in mine:
                neighbours[other] |= joined
        rows_of.append(mine)
    return rows_of


def _farthest(
    free: list[int], mine: list[int], neighbours: list[int], degree_of_row: list[int], random: Iterator[int]
) -> int:
    """Of the free rows one that is farthest from the column whose rows are `mine`, then of least degree, then any."""
    candidates = sum(1 << row for row in free)
    reached = frontier = sum(1 << row for row in mine)
    while frontier and candidates & ~reached:
        found = 0
        for row in _ones(frontier):
            found |= neighbours[row]
        frontier = found & ~reached
        if not candidates & ~(reached | frontier):
            candidates &= frontier
            break
        reached |= frontier
    else:
        candidates &= ~reached
    farthest = list(_ones(candidates))
    least = min(degree_of_row[row] for row in farthest)
    farthest = [row for row in farthest if degree_of_row[row] == least]
    return farthest[next(random) % len(farthest)]


def _ones(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _shifts(rows_of: list[list[int]], rows: int, circulant: int, random: Iterator[int]) -> list[list[int]]:
    """The shifts of each column's edges, without cycles of length 4 and with few of length 6 as far as there is room.

    Bit d of `direct[a][b]` is set if a column has rows a and b with shifts that differ by d, of `indirect[a][b]` if
    two columns lead from a to b like that by way of a third row. A column with such a difference closes a cycle of
    length 4 or 6.
    """
    full = (1 << circulant) - 1

    def turned(mask: int, by: int) -> int:
        return ((mask << by) | (mask >> (circulant - by))) & full if by else mask

    direct: list[dict[int, int]] = [{} for _ in range(rows)]
    indirect: list[dict[int, int]] = [{} for _ in range(rows)]
    shifts_of: list[list[int]] = []
    for mine in rows_of:
        shifts: list[int] = []
        for row in mine:
            four = six = 0
            for other, shift in zip(mine, shifts, strict=False):
                four |= turned(direct[other].get(row, 0), shift)
                six |= turned(indirect[other].get(row, 0), shift)
            allowed = full & ~(four | six) or full & ~four or full
            shifts.append(_one_of(allowed, circulant, next(random)))
        shifts_of.append(shifts)
        steps = [
            (one, other, (shift_other - shift_one) % circulant)
            for one, shift_one in zip(mine, shifts, strict=True)
            for other, shift_other in zip(mine, shifts, strict=True)
            if one != other
        ]
        for one, other, step in steps:
            for third, mask in direct[other].items():
                if third != one:
                    indirect[one][third] = indirect[one].get(third, 0) | turned(mask, step)
            for third in direct[one]:
                if third != other:
                    before = turned(direct[third][one], step)
                    indirect[third][other] = indirect[third].get(other, 0) | before
        for one, other, step in steps:
            direct[one][other] = direct[one].get(other, 0) | (1 << step)
    return shifts_of


def _one_of(allowed: int, circulant: int, random: int) -> int:
    """A bit that is set in the mask: the first at or after a random place."""
    start = random % circulant
    after = allowed >> start
    return start + (after & -after).bit_length() - 1 if after else (allowed & -allowed).bit_length() - 1
