"""The chunks of one epoch, found by position."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from keyhop.core.chunk import Chunk


class Shelf:
    """Chunks in the order of their positions. They do not overlap; where some were removed there are gaps."""

    def __init__(self, chunks: Iterable[Chunk] = ()) -> None:
        self._chunks = list(chunks)
        self._starts = [chunk.start for chunk in self._chunks]

    def __len__(self) -> int:
        return len(self._chunks)

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self._chunks)

    @property
    def first(self) -> Chunk:
        """The oldest. IndexError when there is none."""
        return self._chunks[0]

    def append(self, chunk: Chunk) -> None:
        """Adds a chunk behind all others."""
        self._chunks.append(chunk)
        self._starts.append(chunk.start)

    def remove(self, chunks: Sequence[Chunk]) -> None:
        """Removes chunks that are here, next to each other."""
        first = bisect_right(self._starts, chunks[0].start) - 1
        gone = slice(first, first + len(chunks))
        del self._chunks[gone], self._starts[gone]

    def covering(self, start: int, end: int) -> list[Chunk]:
        """Those that hold any of the units [start, end), in their order."""
        chunks = self._chunks
        at = bisect_right(self._starts, start) - 1
        if at < 0:
            at = 0
        elif chunks[at].end >= end > start:
            return [chunks[at]]
        if end <= start:
            return []
        found: list[Chunk] = []
        while at < len(chunks) and (chunk := chunks[at]).start < end:
            if chunk.end > start:
                found.append(chunk)
            at += 1
        return found
