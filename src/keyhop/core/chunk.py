"""A stored run of stream bytes, and which of its units are still there.

Blocks of any size are stored as chunks of at most 4 KiB: delivering a key rewrites one small row, with the key's
bytes erased, in the same commit that makes the delivery durable.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from keyhop.core.keys import Stored
from keyhop.core.store.base import Slot
from keyhop.core.units import UNIT_BYTES

CHUNK_UNITS = 512


class Age(NamedTuple):
    """When something was produced, and where it comes from (`core.origin`)."""

    produced_at: float
    source: str


class _Stored(Stored, array_like=True):
    produced_at: float
    source: str
    live: bytes
    data: bytes


class Chunk:
    """`units` units from position `start` to before `end`; bit i of `live` says whether unit i is still there.

    `slot` is where it is stored.
    """

    __slots__ = ("age", "data", "end", "live", "slot", "start", "units")

    def __init__(self, slot: Slot, start: int, data: bytes, live: int, age: Age) -> None:
        self.slot = slot
        self.start = start
        self.units = len(data) // UNIT_BYTES
        self.end = start + self.units
        self.data = bytearray(data)
        self.live = live
        self.age = age

    @classmethod
    def fresh(cls, slot: Slot, start: int, data: bytes, age: Age) -> "Chunk":
        """A chunk with all its units there."""
        return cls(slot, start, data, (1 << len(data) // UNIT_BYTES) - 1, age)

    @property
    def live_units(self) -> int:
        """How many units are still there."""
        return self.live.bit_count()

    @property
    def lowest_live(self) -> int:
        """The first position at which something still is; `end` when there is nothing."""
        return self.start + (self.live & -self.live).bit_length() - 1 if self.live else self.end

    def holds(self, start: int, end: int) -> bool:
        """Whether all units of [start, end) that fall into this chunk are still there."""
        low, high = self._clamp(start, end)
        mask = ((1 << (high - low)) - 1) << low
        return self.live & mask == mask

    def read(self, start: int, end: int) -> bytes:
        """The bytes of the units of [start, end) that fall into this chunk."""
        low, high = self._clamp(start, end)
        return bytes(self.data[low * UNIT_BYTES : high * UNIT_BYTES])

    def take(self, start: int, end: int) -> bytes:
        """Erases the units of [start, end) that fall into this chunk, and returns their bytes."""
        low, high = self._clamp(start, end)
        at, to = low * UNIT_BYTES, high * UNIT_BYTES
        taken = bytes(self.data[at:to])
        self.data[at:to] = bytes(to - at)
        self.live &= ~(((1 << (high - low)) - 1) << low)
        return taken

    def erase(self, start: int, end: int) -> int:
        """Zeroes the units of [start, end) that fall into this chunk; returns how many of them were there."""
        before = self.live
        self.take(start, end)
        return (before ^ self.live).bit_count()

    def cut(self, units: int, slot: Slot) -> tuple["Chunk", "Chunk"]:
        """Its first units and the rest, which is stored in `slot`. All its units are there."""
        at = units * UNIT_BYTES
        return (
            Chunk.fresh(self.slot, self.start, bytes(self.data[:at]), self.age),
            Chunk.fresh(slot, self.start + units, bytes(self.data[at:]), self.age),
        )

    def encode(self) -> bytes:
        """The form that the store keeps. Secret."""
        live = self.live.to_bytes(CHUNK_UNITS // 8)
        return msgspec.msgpack.encode(_Stored(*self.age, live, bytes(self.data)))

    @classmethod
    def decode(cls, slot: Slot, start: int, encoded: bytes) -> "Chunk":
        """The inverse of `encode`."""
        stored = msgspec.msgpack.decode(encoded, type=_Stored)
        return cls(slot, start, stored.data, int.from_bytes(stored.live), Age(stored.produced_at, stored.source))

    def _clamp(self, start: int, end: int) -> tuple[int, int]:
        """The range [start, end), as far as it falls into this chunk, counted from its first unit."""
        low, high, units = start - self.start, end - self.start, self.units
        if low >= 0 and high <= units:  # nearly always
            return low, high
        return min(max(low, 0), units), min(max(high, 0), units)


def split(slot_at: Callable[[int], Slot], start: int, data: bytes, age: Age) -> Iterator[Chunk]:
    """A block's bytes (whole units) as chunks, the first at `start`; `slot_at` a position each is stored."""
    step = CHUNK_UNITS * UNIT_BYTES
    for offset in range(0, len(data), step):
        at = start + offset // UNIT_BYTES
        yield Chunk.fresh(slot_at(at), at, data[offset : offset + step], age)
