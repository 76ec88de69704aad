"""The bytes that a follower holds, by epoch: in memory to be found, in the store to survive."""

from collections.abc import Iterable
from functools import partial

from keyhop.core.chunk import Age, Chunk, split
from keyhop.core.journal import Journal
from keyhop.core.store.base import KeyStore
from keyhop.core.streams.base import Ages, StreamRef, load_chunks
from keyhop.core.streams.shelf import Shelf


class Holdings:
    """Units of the epochs that are open here. What they are for is the stream's to know (`followed`)."""

    def __init__(self, ref: StreamRef, store: KeyStore, journal: Journal, epochs: Iterable[int]) -> None:
        self._ref = ref
        self._journal = journal
        self._shelves = {epoch: Shelf(load_chunks(store, ref, "follower", epoch)) for epoch in epochs}
        self.live_units = sum(chunk.live_units for shelf in self._shelves.values() for chunk in shelf)

    def open(self, epoch: int) -> None:
        """A new epoch, with nothing in it."""
        self._shelves[epoch] = Shelf()

    def close(self, epoch: int) -> None:
        """An epoch of which nothing is left."""
        self._shelves.pop(epoch, None)

    def put(self, epoch: int, start: int, data: bytes, age: Age) -> None:
        """Whole units, behind all others of the epoch."""
        for chunk in split(partial(self._ref.chunk_slot, "follower", epoch), start, data, age):
            self._shelves[epoch].append(chunk)
            self.live_units += chunk.units
            self._journal.save(chunk.slot, chunk.encode)

    def has(self, epoch: int, start: int, end: int) -> bool:
        """Whether all units of [start, end) are there."""
        at = start
        for chunk in self._shelves[epoch].covering(start, end):
            if chunk.start > at or not chunk.holds(start, end):
                return False
            at = chunk.end
        return at >= end

    def read(self, epoch: int, start: int, end: int) -> bytes:
        """The units of [start, end). The caller has asked `has`."""
        return b"".join([chunk.read(start, end) for chunk in self._shelves[epoch].covering(start, end)])

    def ages(self, epoch: int, start: int, end: int) -> list[Age]:
        """Those of the units of [start, end)."""
        return [chunk.age for chunk in self._shelves[epoch].covering(start, end)]

    def take(self, epoch: int, start: int, end: int) -> tuple[bytes, Ages]:
        """Erases the units of [start, end) and returns what they were. The caller has asked `has`."""
        covering = self._shelves[epoch].covering(start, end)
        taken = b"".join([chunk.take(start, end) for chunk in covering])
        self._note(epoch, covering, end - start)
        return taken, [(chunk.end, chunk.age) for chunk in covering]

    def erase(self, epoch: int, start: int, end: int) -> int:
        """Erases what is there of [start, end): how many units."""
        shelf = self._shelves.get(epoch)
        if shelf is None:
            return 0
        covering = shelf.covering(start, end)
        erased = sum([chunk.erase(start, end) for chunk in covering])
        self._note(epoch, covering, erased)
        return erased

    def oldest(self, epoch: int) -> Chunk | None:
        """What was produced first of what is there, in one piece."""
        shelf = self._shelves[epoch]
        return shelf.first if shelf else None

    def _note(self, epoch: int, chunks: list[Chunk], erased: int) -> None:
        """Of chunks that follow each other, so many units were erased: only the first and the last can have others."""
        self.live_units -= erased
        empty: list[Chunk] = []
        for chunk in chunks:
            if chunk.live:
                self._journal.save(chunk.slot, chunk.encode)
            else:
                self._journal.delete(chunk.slot)
                empty.append(chunk)
        if empty:
            self._shelves[epoch].remove(empty)
