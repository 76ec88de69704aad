"""Files on a simulated disk: what software reads back is the page cache; what survives is what was synced.

A write is in the cache at once and on the platter after a sync. When the power goes, each write that was not synced
is there, or not, or in part (sectors of 512 bytes); so is what a failed sync left behind, which the cache goes on to
show as if it were there: no later sync writes it.
"""

import random
from dataclasses import dataclass, field

SECTOR_BYTES = 512


@dataclass(slots=True)
class _Write:
    offset: int
    data: bytes | None
    """None cuts the file off at `offset`."""


@dataclass(slots=True)
class SimulatedFile:
    """One file: `cache` is what everybody reads, `platter` what the disk holds."""

    cache: bytearray = field(default_factory=bytearray)
    platter: bytearray = field(default_factory=bytearray)
    _unsynced: list[_Write] = field(default_factory=list)

    def read(self, size: int, offset: int) -> bytes:
        """At most `size` bytes from there."""
        return bytes(self.cache[offset : offset + size])

    def write(self, data: bytes, offset: int) -> None:
        """Into the cache."""
        write = _Write(offset, data)
        _apply(self.cache, write)
        self._unsynced.append(write)

    def truncate(self, size: int) -> None:
        """In the cache."""
        write = _Write(size, None)
        _apply(self.cache, write)
        self._unsynced.append(write)

    def sync(self) -> None:
        """Everything reaches the platter."""
        for write in self._unsynced:
            _apply(self.platter, write)
        self._unsynced.clear()

    def fail_to_sync(self, draw: random.Random) -> None:
        """Some of it reaches the platter; the cache forgets that the rest did not."""
        for write in self._unsynced:
            _apply_some(self.platter, write, draw)
        self._unsynced.clear()

    def lose_power(self, draw: random.Random) -> None:
        """The cache is gone."""
        self.fail_to_sync(draw)
        self.cache[:] = self.platter

    @classmethod
    def holding(cls, data: bytes) -> "SimulatedFile":
        """A file with that content, synced."""
        return cls(bytearray(data), bytearray(data))


def _apply(content: bytearray, write: _Write) -> None:
    if write.data is None:
        del content[write.offset :]
        return
    if len(content) < write.offset:
        content.extend(bytes(write.offset - len(content)))
    content[write.offset : write.offset + len(write.data)] = write.data


def _apply_some(content: bytearray, write: _Write, draw: random.Random) -> None:
    """Wholly, not at all, or the first sectors of it."""
    share = draw.randrange(3)
    if share == 0:
        return
    if share == 2 and write.data is not None:
        sectors = draw.randrange(len(write.data) // SECTOR_BYTES + 1)
        write = _Write(write.offset, write.data[: sectors * SECTOR_BYTES])
    _apply(content, write)
