"""Both ends of a link for tests of adapters: a channel between them, and memories that outlive them.

wire = LinkWire(...)
near = link_end(wire.near, directory / "near", time)
far = link_end(wire.far, directory / "far", time)
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from keyhop.core.entropy import Entropy, SystemEntropy
from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId, LinkId
from keyhop.link.adapter import MAX_MESSAGE_BYTES, LinkAdapter, LinkBlock, LinkEnd, LinkEvent
from keyhop.testing.virtual_time import VirtualTime

type Fate = Callable[[bytes], list[bytes]]
"""What becomes of a message: itself, nothing, twice, something else."""


class WireEnd:
    """The `LinkChannel` of one end."""

    def __init__(self, wire: "LinkWire") -> None:
        self._wire = wire
        self.receive: Callable[[bytes], None] | None = None
        self.far: WireEnd

    def send(self, message: bytes) -> None:
        """On its way at once; it arrives in a later turn of the event loop."""
        assert len(message) <= MAX_MESSAGE_BYTES
        for each in self._wire.fate(message) if self._wire.connected else ():
            asyncio.get_running_loop().call_soon(self.far.arrive, each)

    def arrive(self, message: bytes) -> None:
        """At the adapter of this end, if one listens."""
        if self.receive and self._wire.connected:
            try:
                self.receive(message)
            except PeerError as error:
                self._wire.errors.append(error)

    def listen(self, received: Callable[[bytes], None] | None) -> None:
        """Where messages go from now on."""
        self.receive = received


class LinkWire:
    """The connection of two nodes, as two adapters see it. `errors` holds what they refused."""

    def __init__(self) -> None:
        self.connected = True
        self.fate: Fate = lambda message: [message]
        self.errors: list[PeerError] = []
        self.near, self.far = WireEnd(self), WireEnd(self)
        self.near.far, self.far.far = self.far, self.near


class FileMemory:
    """A `LinkMemory` that a second adapter finds again under the same path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> bytes | None:
        """What was saved last."""
        return self._path.read_bytes() if self._path.exists() else None

    def save(self, value: bytes) -> None:
        """At once."""
        self._path.write_bytes(value)

    def then(self, effect: Callable[[], None]) -> None:
        """In a later turn of the event loop, as after a commit."""
        asyncio.get_running_loop().call_soon(effect)


def link_end(
    channel: WireEnd,
    memory: Path,
    time: VirtualTime,
    *,
    me: str = "alice",
    peer: str = "bob",
    lab: bool = True,
    after: int = -1,
    entropy: Entropy | None = None,
    report: Callable[[LinkEvent], None] = lambda event: None,
) -> LinkEnd:
    """What a node would give to an adapter, on virtual time."""
    return LinkEnd(
        link=LinkId("alice-bob"),
        me=KmeId(me),
        peer=KmeId(peer),
        lab=lab,
        clock=time,
        machine=time,
        entropy=entropy or SystemEntropy(),
        channel=channel,
        memory=FileMemory(memory),
        after=after,
        report=report,
        sleep=time.sleep,
    )


class LinkBench[Adapter: LinkAdapter](ABC):
    """Two ends on one wire, and the blocks that each of them has delivered. A subclass says what the ends are."""

    def __init__(self, time: VirtualTime) -> None:
        self.time = time
        self.wire = LinkWire()
        self.near: list[LinkBlock] = []
        self.far: list[LinkBlock] = []

    @abstractmethod
    def ends(self) -> tuple[Adapter, Adapter]:
        """Both ends; a second call makes them again, as after a restart."""

    async def start(self) -> tuple[Adapter, Adapter]:
        """Both ends, started."""
        one, other = self.ends()
        await one.start(self.near.append)
        await other.start(self.far.append)
        return one, other

    async def run(self, seconds: float) -> tuple[Adapter, Adapter]:
        """Both ends, after a while."""
        ends = await self.start()
        await self.time.advance(seconds)
        return ends

    def shared(self) -> int:
        """How many sequences both have. AssertionError when the bytes of one of them differ."""
        theirs = {block.sequence: block.material for block in self.far}
        mine = {block.sequence: block.material for block in self.near}
        both = mine.keys() & theirs.keys()
        assert all(mine[sequence] == theirs[sequence] for sequence in both)
        return len(both)
