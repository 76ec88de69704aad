"""The codes themselves: the same everywhere, without short cycles, and what the kernels make of them."""

import hashlib
from itertools import combinations, pairwise

import numpy as np
import pytest

from keyhop.link.bb84.reconciliation import Bits
from keyhop.link.bb84.reconciliation.ldpc_codes import Code, choose, code_of
from keyhop.link.bb84.reconciliation.ldpc_decoder import FrameCoder

SIZES = [(256, 14, 512), (244, 24, 513), (256, 52, 512), (240, 100, 77), (256, 139, 64), (256, 60, 1), (252, 61, 5)]

# SHA-256 over the tables as this module makes them, cut to 64 bits.
DIGESTS = {
    (256, 14, 512): "87aa500afbe2a47e",
    (244, 24, 513): "77d2c6a9cbf6d59f",
    (256, 52, 512): "e7cb5ba18f39073e",
    (240, 100, 77): "46b70febb0f37af9",
    (256, 139, 64): "86d04495f9fdc5f5",
    (256, 60, 1): "283e3d60a4ed2b8e",
    (252, 61, 5): "8e08bf33338f7d30",
}


def dense(code: Code) -> Bits:
    """The parity-check matrix, written from the definition: check z of a row, bit z + shift of a column."""
    matrix = np.zeros((code.checks, code.bits), np.uint8)
    for row in range(code.rows):
        for edge in range(code.first_edge[row], code.first_edge[row + 1]):
            for z in range(code.circulant):
                bit = (z + int(code.shift[edge])) % code.circulant
                matrix[row * code.circulant + z, int(code.column[edge]) * code.circulant + bit] = 1
    return matrix


@pytest.mark.parametrize(("columns", "rows", "circulant"), [(256, 52, 4), (240, 100, 7), (248, 20, 65), (256, 60, 1)])
def test_syndromes_are_products_with_the_matrix(columns: int, rows: int, circulant: int) -> None:
    code = code_of(columns, rows, circulant)
    matrix = dense(code)
    random = np.random.default_rng(1)
    coder = FrameCoder(code)
    for shortened in (0, 1, columns - 1):
        bits = random.integers(0, 2, code.bits - shortened, dtype=np.uint8)
        expected = matrix[:, : bits.size] @ bits % 2  # sums modulo 256
        assert np.array_equal(coder.syndrome(bits), expected)


def test_syndromes_of_a_long_code_by_single_checks() -> None:
    code = code_of(256, 52, 512)
    bits = np.random.default_rng(2).integers(0, 2, code.bits, dtype=np.uint8)
    syndrome = FrameCoder(code).syndrome(bits)
    for check in np.random.default_rng(3).integers(0, code.checks, 200).tolist():
        row, z = divmod(check, code.circulant)
        edges = slice(int(code.first_edge[row]), int(code.first_edge[row + 1]))
        places = code.column[edges] * code.circulant + (code.shift[edges] + z) % code.circulant
        assert syndrome[check] == bits[places].sum() % 2


@pytest.mark.parametrize(("columns", "rows", "circulant"), SIZES)
def test_what_decodes_meets_the_syndrome(columns: int, rows: int, circulant: int) -> None:
    code = code_of(columns, rows, circulant)
    coder = FrameCoder(code)
    random = np.random.default_rng(4)
    reference = random.integers(0, 2, code.bits, dtype=np.uint8)
    received = reference.copy()
    received[random.choice(code.bits, max(code.checks // 60, 1), replace=False)] ^= 1
    decoded, iterations = coder.decode(received, coder.syndrome(reference), code.checks / code.bits / 15)
    assert decoded is not None
    assert np.array_equal(decoded, reference)
    assert 1 <= iterations < 30


@pytest.mark.parametrize(("columns", "rows", "circulant"), SIZES)
def test_every_edge_is_in_its_place_once(columns: int, rows: int, circulant: int) -> None:
    code = code_of(columns, rows, circulant)
    degrees = np.diff(code.first_edge)
    assert code.first_edge[0] == 0
    assert code.first_edge[-1] == code.column.size == code.shift.size
    assert degrees.max() - degrees.min() <= 2
    assert code.column.min() == 0
    assert code.column.max() == columns - 1
    assert code.shift.min() >= 0
    assert code.shift.max() < circulant
    row_of_edge = np.repeat(np.arange(rows), degrees)
    assert len(set(zip(row_of_edge.tolist(), code.column.tolist(), strict=True))) == code.column.size
    assert np.bincount(code.column, minlength=columns).min() >= 2


@pytest.mark.parametrize("rows", [14, 26, 52, 100])
def test_long_codes_have_no_cycles_of_length_four(rows: int) -> None:
    code = code_of(256, rows, 512)
    row_of_edge = np.repeat(np.arange(rows), np.diff(code.first_edge))
    seen = set()
    for column in range(code.columns):
        edges = np.flatnonzero(code.column == column).tolist()
        for one, other in combinations(edges, 2):
            step = int(code.shift[other] - code.shift[one]) % code.circulant
            difference = int(row_of_edge[one]), int(row_of_edge[other]), step
            assert difference not in seen
            seen.add(difference)


def test_higher_error_rates_and_shorter_frames_get_more_checks() -> None:
    by_rate = [choose(131_072, qber)[0] for qber in np.linspace(0.004, 0.11, 12).tolist()]
    assert all(a.checks / a.bits <= b.checks / b.bits for a, b in pairwise(by_rate))
    by_size = [choose(bits, 0.02)[0] for bits in (1_000, 10_000, 100_000)]
    assert all(a.checks / a.bits > b.checks / b.bits for a, b in pairwise(by_size))


def digest(code: Code) -> str:
    tables = (code.first_edge, code.column, code.shift)
    return hashlib.sha256(b"".join(table.astype("<u4").tobytes() for table in tables)).hexdigest()[:16]


@pytest.mark.parametrize("sizes", SIZES)
def test_codes_are_the_same_everywhere(sizes: tuple[int, int, int]) -> None:
    """Both ends make their own: a change here parts a node from neighbours that run the release before."""
    assert digest(code_of(*sizes)) == DIGESTS[sizes]
