"""Bounds on what a relay keeps for others."""

from collections import Counter
from collections.abc import Hashable

from keyhop.core.ids import KmeId

MAX_BYTES_PER_SOURCE = 4 << 20
MAX_BYTES_PER_PEER = 16 << 20
ITEM_BYTES = 1 << 10
"""What anything takes beside the bytes that are in it, at most."""


class Budget:
    """How much waits here: counted for the peer that brought it, and of that for each source that it names. So one who
    lies uses up what is his, and one source nothing of another's."""

    def __init__(self) -> None:
        self._used: Counter[tuple[KmeId, KmeId]] = Counter()
        self._peers: Counter[KmeId] = Counter()

    def has_room(self, peer: KmeId, source: KmeId, size_bytes: int) -> bool:
        """Whether that peer may leave so much more of that source here."""
        size = size_bytes + ITEM_BYTES
        fits_source = self._used[peer, source] + size <= MAX_BYTES_PER_SOURCE
        return fits_source and self._peers[peer] + size <= MAX_BYTES_PER_PEER

    def charge(self, peer: KmeId, source: KmeId, size_bytes: int) -> None:
        """It is here."""
        self._add(peer, source, size_bytes + ITEM_BYTES)

    def refund(self, peer: KmeId, source: KmeId, size_bytes: int) -> None:
        """It is gone."""
        self._add(peer, source, -size_bytes - ITEM_BYTES)

    def _add(self, peer: KmeId, source: KmeId, size: int) -> None:
        self._used[peer, source] += size
        self._peers[peer] += size
        if not self._used[peer, source]:
            del self._used[peer, source]


class Remembered[K: Hashable, V]:
    """Values of late, the newest `max_bytes` of them and for `age_s`; the oldest goes first."""

    def __init__(self, max_bytes: int, age_s: float) -> None:
        self._max_bytes = max_bytes
        self._age_s = age_s
        self._bytes = 0
        self._values: dict[K, tuple[V, int, float]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        """The value, if it is remembered."""
        found = self._values.get(key)
        return found[0] if found else None

    def put(self, key: K, value: V, size_bytes: int, now: float) -> None:
        """Remembers a value instead of what was there."""
        self.drop(key)
        size = size_bytes + ITEM_BYTES
        while self._values and self._bytes + size > self._max_bytes:
            self.drop(next(iter(self._values)))
        self._values[key] = (value, size, now)
        self._bytes += size

    def drop(self, key: K) -> None:
        """Forgets it, if it is here."""
        found = self._values.pop(key, None)
        if found:
            self._bytes -= found[1]

    def expire(self, now: float) -> None:
        """Forgets what is old."""
        while self._values:
            key, (_, _, at) = next(iter(self._values.items()))
            if at > now - self._age_s:
                return
            self.drop(key)
