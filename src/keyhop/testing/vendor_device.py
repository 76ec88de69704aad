"""A pair of key devices for tests of vendor links: both ends get the same keys, as slowly and badly as a test wants."""

import hashlib
from collections.abc import Sequence

from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import Sleep
from keyhop.link.vendors.device import NoKeysNow, Piece
from keyhop.testing.virtual_time import VirtualTime


class DevicePair:
    """What both devices have in common. Keys are numbered from 0 and come at `rate_bps`."""

    def __init__(self, time: VirtualTime, *, key_bytes: int = 32, rate_bps: float = 20_000) -> None:
        self.time = time
        self.key_bytes = key_bytes
        self.rate_bps = rate_bps
        self.produced = 0
        self.taken: set[bytes] = set()
        """What dec_keys has given, which no device gives twice."""
        self.missing: set[bytes] = set()
        self.differing: set[bytes] = set()
        self.near, self.far = FakeDevice(self, time.sleep), FakeDevice(self, time.sleep)

    def key(self, name: bytes) -> KeyMaterial:
        """The key of that name."""
        return KeyMaterial(hashlib.shake_256(b"key " + name).digest(self.key_bytes))

    @property
    def available(self) -> int:
        """Keys that are made and not given out yet; no device keeps more than a thousand."""
        made = int(self.time.monotonic() * self.rate_bps / 8 / self.key_bytes)
        self.produced = max(self.produced, made - 1000)
        return made - self.produced


class FakeDevice:
    """The `Device` of one end. While `faults` has something, it is raised instead of working."""

    def __init__(self, pair: DevicePair, sleep: Sleep) -> None:
        self._pair = pair
        self._sleep = sleep
        self.faults: list[Exception] = []
        self.greetings: list[bytes | None] = []
        self.consumed: list[bytes] = []
        self.not_used: list[bytes] = []

    async def open(self, greeting: bytes | None) -> bytes:
        """Works at once."""
        self._fail()
        self.greetings.append(greeting)
        return b"fake"

    async def produce(self, wanted_bytes: int) -> list[Piece]:
        """The next keys."""
        self._fail()
        count = min(self._pair.available, -(-wanted_bytes // self._pair.key_bytes))
        if not count:
            raise NoKeysNow("no keys now")
        names = [f"key {self._pair.produced + n}".encode() for n in range(count)]
        self._pair.produced += count
        return [Piece(name, self._pair.key(name)) for name in names]

    async def copies(self, names: Sequence[bytes], sizes: Sequence[int], found: dict[bytes, KeyMaterial]) -> None:
        """Each key once."""
        for name in names:
            self._fail()
            if name in found or name in self._pair.missing or name in self._pair.taken:
                continue
            self._pair.taken.add(name)
            found[name] = self._pair.key(name + b"'" if name in self._pair.differing else name)

    async def consume(self, names: Sequence[bytes]) -> None:
        """Notes them."""
        self._fail()
        assert not set(names) & set(self.consumed)
        self.consumed += names

    def lost(self, names: Sequence[bytes]) -> None:
        """Notes them."""
        self.not_used += names

    async def close(self) -> None:
        """Nothing to end."""

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)
