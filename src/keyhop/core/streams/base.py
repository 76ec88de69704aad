"""What both ends of a stream speak of."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple
from urllib.parse import quote

from keyhop.core.chunk import Age, Chunk
from keyhop.core.ids import KmeId
from keyhop.core.key_id import ID_KEY_BYTES, Located
from keyhop.core.ledger import Ledger
from keyhop.core.origin import Path, hides_from, kind_of
from keyhop.core.store.base import KeyStore, Slot
from keyhop.core.units import UNIT_BYTES

ID_KEY_UNITS = ID_KEY_BYTES // UNIT_BYTES
HISTORY_BYTES = 16
Role = Literal["owner", "follower"]
Route = Literal["direct", "relayed"]
"""How the bytes of a stream came to its two ends: from QKD links between them, or over other nodes."""


class StreamRef(NamedTuple):
    """Which stream: from whose decisions, to whom."""

    owner: KmeId
    follower: KmeId
    route: Route = "direct"

    def __str__(self) -> str:
        return f"{self.owner}→{self.follower}" + (" (relayed)" if self.route == "relayed" else "")

    @property
    def ends(self) -> Path:
        """The way of what a link brings."""
        return (self.owner, self.follower)

    def slot(self, role: Role) -> Slot:
        """Where the state of one end is stored."""
        return Slot("stream", f"{quote(self.owner, safe='')}/{quote(self.follower, safe='')}/{self.route}/{role}")

    def chunk_slot(self, role: Role, epoch: int, start: int) -> Slot:
        """Where one chunk of one end is stored."""
        return Slot("chunk", f"{self.slot(role).name}/{epoch:016x}/{start:09x}")


class Block(NamedTuple):
    """Link bytes on their way into a stream. `mac_bytes` were cut off its front to authenticate it with `tag`."""

    data: bytes
    mac_bytes: int
    tag: bytes
    produced_at: float
    source: str

    def __repr__(self) -> str:
        return f"<Block: {len(self.data)} bytes>"

    @property
    def units(self) -> int:
        """Whole units; what is left over is voided."""
        return len(self.data) // UNIT_BYTES


def booked(block: Block, ledger: Ledger) -> bytes:
    """Books a block as produced; returns what of it goes into the stream, the MAC key and the odd end aside."""
    data = block.data[: block.units * UNIT_BYTES]
    ledger.produced += len(block.data) + block.mac_bytes
    ledger.mac += block.mac_bytes
    ledger.voided += len(block.data) - len(data)
    return data


def history_with(history: bytes, block: Block) -> bytes:
    """The digest of all blocks of an epoch in their order, after one more."""
    return hashlib.sha256(history + block.tag).digest()[:HISTORY_BYTES]


type Ages = Sequence[tuple[int, Age]]
"""Of bytes that follow each other: up to before which unit they have which age."""


class Admission(NamedTuple):
    """Which bytes may be taken: of these sources (None: any), none older than that (None: any), and of those that were
    relayed only such as whoever is on fewer paths has not learnt."""

    sources: frozenset[str] | None = None
    least_paths: int = 1
    max_age_s: float | None = None

    def admits(self, age: Age, now: float) -> bool:
        """Whether bytes of this age will do at that wall time."""
        return self.admits_source(age.source) and (self.max_age_s is None or now - age.produced_at <= self.max_age_s)

    def admits_source(self, source: str) -> bool:
        """Whether bytes of that source will do."""
        paths = hides_from(source)
        if paths is not None and paths < self.least_paths:
            return False
        return self.sources is None or kind_of(source) in self.sources


class Lease(NamedTuple):
    """Bytes that have left the owner's store. Unusable until the follower has noted `end` as taken."""

    epoch: int
    start: int
    end: int
    chunks: tuple[Chunk, ...]


class Taken(NamedTuple):
    """Bytes that the owner has put to use: `size_bytes` × `count`, from `position`."""

    epoch: int
    position: int
    data: bytes
    ages: Ages

    def __repr__(self) -> str:
        return f"<Taken: {len(self.data)} bytes from unit {self.position} of epoch {self.epoch}>"

    @property
    def age(self) -> Age:
        """Of the first byte."""
        return self.ages[0][1]


class Place(NamedTuple):
    """Where a key was found at the follower; `use` is what its ID is bound to beside its SAEs."""

    epoch: int
    located: Located
    use: bytes = b""


type Uses = Callable[[int], Iterable[bytes]]
"""To what keys of an epoch may be bound, the likeliest first."""


def plain(epoch: int) -> tuple[bytes, ...]:
    """To nothing but their SAEs."""
    return (b"",)


def load_chunks(store: KeyStore, ref: StreamRef, role: Role, epoch: int) -> Iterator[Chunk]:
    """The chunks that one end has stored of an epoch, in their order."""
    prefix = ref.chunk_slot(role, epoch, 0).name.rpartition("/")[0] + "/"
    for slot, value in store.scan("chunk", prefix):
        yield Chunk.decode(slot, int(slot.name.rpartition("/")[2], 16), value)
