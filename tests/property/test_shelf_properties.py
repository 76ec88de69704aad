"""The shelf of chunks against a plain list."""

from hypothesis import example, given
from hypothesis import strategies as st

from keyhop.core.chunk import Age, Chunk
from keyhop.core.store.base import Slot
from keyhop.core.streams.shelf import Shelf
from keyhop.core.units import UNIT_BYTES


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=12),
    st.sets(st.integers(0, 11)),
    st.integers(0, 120),
    st.integers(0, 40),
)
@example([(0, 2)], set(), 9, 0)
def test_a_shelf_finds_what_covers_a_range(
    spans: list[tuple[int, int]], removed: set[int], start: int, length: int
) -> None:
    chunks: list[Chunk] = []
    at = 8
    for gap, units in spans:
        chunks.append(Chunk.fresh(Slot("chunk", str(at)), at + gap, bytes(units * UNIT_BYTES), Age(0.0, "test")))
        at = chunks[-1].end
    loaded = len(chunks) // 2
    shelf = Shelf(chunks[:loaded])
    for chunk in chunks[loaded:]:
        shelf.append(chunk)
    for index in sorted(removed):
        if index < len(chunks) and index - 1 not in removed:
            last = next(i for i in range(index, len(chunks) + 1) if i not in removed or i == len(chunks))
            shelf.remove(chunks[index:last])
    left = [chunk for index, chunk in enumerate(chunks) if index not in removed]
    assert list(shelf) == left
    assert len(shelf) == len(left)
    assert not left or shelf.first is left[0]
    end = start + length
    assert shelf.covering(start, end) == [c for c in left if max(c.start, start) < min(c.end, end)]
