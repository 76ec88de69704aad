"""The two ends of a key stream. The rules:

 1. A stream runs from its owner to its follower. Only the owner decides what its bytes are used for.
 2. It is made of blocks, appended without holes: `produced` is where the next one goes. A block is first durable at
    the follower; only then does the owner append it, which makes it available.
 3. The owner uses bytes only out of a lease. Leasing moves the bytes from the store into memory (one durable write)
    and raises `taken`; the follower notes the new `taken` durably before the first byte of the lease is used.
    A crash burns what was left of the lease.
 4. The follower gives out bytes below `taken` only, each unit once, erased in the commit that gives it out.
 5. An epoch is one unbroken history of both ends. When the ends disagree on it (a restored backup), the owner
    discards what it has and opens the next epoch; the follower keeps what was taken until it expires, unless it is
    itself the one that forgot.
 6. The first 64 bytes of an epoch key its key IDs and are used for nothing else.
 7. Every byte has one use, and the ledger of each end balances at all times.

Positions and lengths are counted in units of eight bytes. Both ends keep their bytes in memory; the store is there
to survive.
"""

import bisect
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Literal, NamedTuple
from urllib.parse import quote

import msgspec

from keyhop.core.chunk import Chunk, split
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.key_id import ID_KEY_BYTES, EpochKeyIds, Located
from keyhop.core.ledger import Ledger, Purpose
from keyhop.core.store.base import KeyStore, Slot
from keyhop.core.units import MAX_POSITION, UNIT_BYTES, units_for

ID_KEY_UNITS = ID_KEY_BYTES // UNIT_BYTES
Role = Literal["owner", "follower"]


class StreamRef(NamedTuple):
    """Which stream: from whose decisions, to whom."""

    owner: KmeId
    follower: KmeId

    def __str__(self) -> str:
        return f"{self.owner}→{self.follower}"

    def slot(self, role: Role) -> Slot:
        """Where the state of one end is stored."""
        return Slot("stream", f"{quote(self.owner, safe='')}/{quote(self.follower, safe='')}/{role}")

    def chunk_slot(self, role: Role, epoch: int, start: int) -> Slot:
        """Where one chunk of one end is stored."""
        return Slot("chunk", f"{self.slot(role).name}/{epoch:016x}/{start:09x}")


class Block(NamedTuple):
    """Link bytes on their way into a stream. `mac_bytes` were cut off its front to authenticate it."""

    data: bytes
    mac_bytes: int
    produced_at: float
    source: str

    @property
    def units(self) -> int:
        """Whole units; what is left over is voided."""
        return len(self.data) // UNIT_BYTES


class Age(NamedTuple):
    """When the oldest byte of something was produced, and by what."""

    produced_at: float
    source: str


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
    age: Age


class _OwnerState(msgspec.Struct):
    epoch: int = 1
    produced: int = 0
    taken: int = 0
    mark_seen: int = 0
    id_key: bytes = b""
    ledger: Ledger = msgspec.field(default_factory=Ledger)


class OwnedStream:
    """The owner's end."""

    def __init__(self, ref: StreamRef, store: KeyStore, journal: Journal) -> None:
        self.ref = ref
        self._journal = journal
        stored = store.read(ref.slot("owner"))
        self._state = msgspec.msgpack.decode(stored, type=_OwnerState) if stored else _OwnerState()
        self._chunks = deque(_load_chunks(store, ref, "owner", self._state.epoch))
        self._available = sum(chunk.units for chunk in self._chunks)
        self.key_ids = EpochKeyIds(self._state.id_key) if self._state.id_key else None
        self._lease = b""
        self._lease_start = self._cursor = self._state.taken
        self._ages: deque[tuple[int, Age]] = deque()
        ledger = self._state.ledger
        ledger.voided += ledger.leased
        ledger.leased = 0

    @property
    def epoch(self) -> int:
        """The number of the epoch that is open or, while `produced` is 0, will be opened next."""
        return self._state.epoch

    @property
    def produced(self) -> int:
        """Where the next block goes."""
        return self._state.produced

    @property
    def taken(self) -> int:
        """Everything below was leased, voided or expired."""
        return self._state.taken

    @property
    def mark_seen(self) -> int:
        """The follower's latest delivery mark that we noted."""
        return self._state.mark_seen

    @property
    def available_units(self) -> int:
        """Units in the store, not leased."""
        return self._available

    @property
    def leased_units(self) -> int:
        """Units that can be taken at once."""
        return self._lease_start + len(self._lease) // UNIT_BYTES - self._cursor

    @property
    def ledger(self) -> Ledger:
        """Where this end's bytes went."""
        return self._state.ledger

    @property
    def available_bytes(self) -> int:
        """The ledger's `available`."""
        return self._available * UNIT_BYTES

    def append(self, block: Block) -> None:
        """Makes available a block that the follower holds durably at `produced`."""
        state, ledger = self._state, self._state.ledger
        data = block.data[: block.units * UNIT_BYTES]
        start = state.produced
        ledger.produced += len(block.data) + block.mac_bytes
        ledger.mac += block.mac_bytes
        ledger.voided += len(block.data) - len(data)
        state.produced += block.units
        if start == 0:
            state.id_key, data = data[:ID_KEY_BYTES], data[ID_KEY_BYTES:]
            self.key_ids = EpochKeyIds(state.id_key)
            ledger.id_key += ID_KEY_BYTES
            start = state.taken = self._cursor = self._lease_start = ID_KEY_UNITS
        for chunk in split(start, data, block.produced_at, block.source):
            self._chunks.append(chunk)
            self._available += chunk.units
            self._journal.save(self.ref.chunk_slot("owner", state.epoch, chunk.start), chunk.encode)
        self._save()

    def lease(self, units: int) -> Lease | None:
        """Moves at least `units` (or whatever there is) out of the store; None when there is nothing."""
        start = self._state.taken
        chunks = list(self._pop(units))
        if not chunks:
            return None
        self._state.ledger.leased += (self._state.taken - start) * UNIT_BYTES
        self._ages.extend((chunk.end, Age(chunk.produced_at, chunk.source)) for chunk in chunks)
        return Lease(self.epoch, start, self._state.taken, tuple(chunks))

    def activate(self, lease: Lease) -> None:
        """Lets the bytes of a lease be taken: the follower has noted it. Leases are activated in their order."""
        if lease.epoch != self.epoch:
            return
        rest = self._lease[(self._cursor - self._lease_start) * UNIT_BYTES :]
        expired = max(self._cursor - lease.start, 0) * UNIT_BYTES
        self._lease = rest + b"".join(bytes(chunk.data) for chunk in lease.chunks)[expired:]
        self._lease_start = self._cursor

    def take(self, size_bytes: int, count: int, purpose: Purpose) -> Taken | None:
        """Uses the next `count` runs of `size_bytes` for one purpose, or None when the lease is too short."""
        units = units_for(size_bytes)
        if units * count > self.leased_units:
            return None
        width, total = units * UNIT_BYTES, units * count * UNIT_BYTES
        offset = (self._cursor - self._lease_start) * UNIT_BYTES
        raw = self._lease[offset : offset + total]
        position, age = self._cursor, self._ages[0][1]
        self._cursor += units * count
        while self._ages and self._ages[0][0] <= self._cursor:
            self._ages.popleft()
        if width != size_bytes:
            raw = b"".join(raw[i : i + size_bytes] for i in range(0, total, width))
        ledger = self._state.ledger
        ledger.leased -= total
        ledger.spend(purpose, len(raw))
        ledger.voided += total - len(raw)
        return Taken(self.epoch, position, raw, age)

    def next_age(self) -> Age | None:
        """The age of the byte that would be taken next, or None when there is none."""
        if self._ages:
            return self._ages[0][1]
        return Age(self._chunks[0].produced_at, self._chunks[0].source) if self._chunks else None

    def seal(self) -> tuple[int, int] | None:
        """Voids the rest of the lease (a graceful stop); returns the range of units that nobody will ever use."""
        rest = (self._cursor, self._state.taken)
        self._drop_lease()
        self._save()
        return rest if rest[0] < rest[1] else None

    def expire(self, before: float) -> tuple[int, int] | None:
        """Voids bytes produced before that wall time, leased or not; returns their range of units."""
        start, ledger = self._cursor, self._state.ledger
        while self._ages and self._ages[0][1].produced_at < before:
            self._cursor = self._ages.popleft()[0]
        ledger.leased -= (self._cursor - start) * UNIT_BYTES
        if self._cursor == self._state.taken:
            old = sum(chunk.units for chunk in takewhile(lambda c: c.produced_at < before, self._chunks))
            for _ in self._pop(old):
                pass
            self._cursor = self._state.taken
        if self._cursor == start:
            return None
        if self._cursor >= self._lease_start + len(self._lease) // UNIT_BYTES:
            self._lease, self._lease_start = b"", self._cursor
        ledger.expired += (self._cursor - start) * UNIT_BYTES
        self._save()
        return start, self._cursor

    def close_epoch(self, next_epoch: int) -> None:
        """Discards everything that is left of this epoch; the next block opens `next_epoch`."""
        state = self._state
        for chunk in self._chunks:
            self._journal.delete(self.ref.chunk_slot("owner", state.epoch, chunk.start))
        state.ledger.voided += self.available_bytes
        self._chunks.clear()
        self._available = 0
        self._drop_lease()
        state.epoch, state.produced, state.taken, state.id_key = next_epoch, 0, 0, b""
        self._lease_start = self._cursor = 0
        self.key_ids = None
        self._save()

    def note_mark(self, mark: int) -> None:
        """Notes the follower's delivery mark, so that a follower that forgets it is found out."""
        if mark > self._state.mark_seen:
            self._state.mark_seen = mark
            self._save()

    @property
    def full(self) -> bool:
        """Whether the epoch's positions are nearly used up, so that the next block shall open another."""
        return self._state.produced > MAX_POSITION - (1 << 24)

    def _pop(self, units: int) -> Iterator[Chunk]:
        while units > 0 and self._chunks:
            chunk = self._chunks.popleft()
            self._available -= chunk.units
            units -= chunk.units
            self._state.taken = chunk.end
            self._journal.delete(self.ref.chunk_slot("owner", self.epoch, chunk.start))
            yield chunk
        self._save()

    def _drop_lease(self) -> None:
        ledger = self._state.ledger
        ledger.voided += ledger.leased
        ledger.leased = 0
        self._lease = b""
        self._ages.clear()
        self._lease_start = self._cursor = self._state.taken

    def _save(self) -> None:
        self._journal.save(self.ref.slot("owner"), lambda: msgspec.msgpack.encode(self._state))


class _EpochState(msgspec.Struct):
    produced: int = 0
    taken: int = 0
    id_key: bytes = b""


class _FollowerState(msgspec.Struct):
    mark: int = 0
    epochs: dict[int, _EpochState] = msgspec.field(default_factory=dict)
    ledger: Ledger = msgspec.field(default_factory=Ledger)


class Place(NamedTuple):
    """Where a key was found at the follower."""

    epoch: int
    located: Located


class FollowedStream:
    """The follower's end: it keeps its copy of every unit until the unit is asked for, voided or expired."""

    def __init__(self, ref: StreamRef, store: KeyStore, journal: Journal) -> None:
        self.ref = ref
        self._journal = journal
        stored = store.read(ref.slot("follower"))
        self._state = msgspec.msgpack.decode(stored, type=_FollowerState) if stored else _FollowerState()
        self._chunks = {number: list(_load_chunks(store, ref, "follower", number)) for number in self._state.epochs}
        self._key_ids = {n: EpochKeyIds(e.id_key) for n, e in self._state.epochs.items() if e.id_key}
        self._live = sum(chunk.live_units for chunks in self._chunks.values() for chunk in chunks)

    @property
    def epoch(self) -> int:
        """The newest epoch we know of, or 0."""
        return max(self._state.epochs, default=0)

    @property
    def produced(self) -> int:
        """What we hold of the newest epoch ends here."""
        return self._newest.produced

    @property
    def taken(self) -> int:
        """What the owner has told us that it took of the newest epoch."""
        return self._newest.taken

    @property
    def mark(self) -> int:
        """Counts the delivery windows that we opened; an owner that knows a later one knows that we forgot."""
        return self._state.mark

    @property
    def ledger(self) -> Ledger:
        """Where this end's bytes went."""
        return self._state.ledger

    @property
    def available_bytes(self) -> int:
        """The ledger's `available`: everything that is still there, taken by the owner or not."""
        return self._live * UNIT_BYTES

    @property
    def unfetched_units(self) -> int:
        """What the owner took and nobody has asked for yet."""
        return self._live - self.untaken_units

    @property
    def untaken_units(self) -> int:
        """What the owner can still take of the newest epoch, as far as we know."""
        return self._newest.produced - self._newest.taken

    def append(self, epoch: int, blocks: Iterable[Block]) -> None:
        """Stores blocks at `produced` of an epoch, which is opened when it is new."""
        self.begin(epoch)
        state = self._state.epochs[epoch]
        for block in blocks:
            self._append_block(epoch, state, block)
        self._save()

    def _append_block(self, epoch: int, state: _EpochState, block: Block) -> None:
        ledger = self._state.ledger
        data = block.data[: block.units * UNIT_BYTES]
        start = state.produced
        ledger.produced += len(block.data) + block.mac_bytes
        ledger.mac += block.mac_bytes
        ledger.voided += len(block.data) - len(data)
        state.produced += block.units
        if start == 0:
            state.id_key, data = data[:ID_KEY_BYTES], data[ID_KEY_BYTES:]
            self._key_ids[epoch] = EpochKeyIds(state.id_key)
            ledger.id_key += ID_KEY_BYTES
            start = state.taken = ID_KEY_UNITS
        for chunk in split(start, data, block.produced_at, block.source):
            self._chunks[epoch].append(chunk)
            self._live += chunk.units
            self._journal.save(self.ref.chunk_slot("follower", epoch, chunk.start), chunk.encode)

    def note_taken(self, epoch: int, taken: int) -> bool:
        """Notes that the owner took everything below; False when we do not know that much of the epoch."""
        state = self._state.epochs.get(epoch)
        if state is None or taken > state.produced:
            return False
        if taken > state.taken:
            state.taken = taken
            self._save()
        return True

    def key_ids(self, epoch: int) -> EpochKeyIds:
        """The key IDs of an epoch that we hold."""
        return self._key_ids[epoch]

    def find(self, key_id: bytes, master: SaeId, slave: SaeId) -> Place | None:
        """The place that this ID seals for this pair of SAEs, whether or not its bytes are still there."""
        for number, key_ids in self._key_ids.items():
            located = key_ids.locate(key_id)
            if located and self._given_out(number, located) and key_ids.pair(master, slave).recognises(key_id, located):
                return Place(number, located)
        return None

    def is_someone_elses(self, key_id: bytes) -> bool:
        """Whether the ID, which is not this pair's, names bytes that are there for somebody."""
        return any(
            (located := key_ids.locate(key_id)) and self.has(Place(number, located))
            for number, key_ids in self._key_ids.items()
        )

    def has(self, place: Place) -> bool:
        """Whether the owner has given out the place and all its bytes are still there."""
        start, end = place.located.position, place.located.end
        if not self._given_out(place.epoch, place.located):
            return False
        covering = self._covering(place.epoch, start, end)
        return all(c.holds(start, end) for c in covering) and _spans(covering, start, end)

    def peek(self, place: Place) -> bytes:
        """What the place holds, to check something by it. The caller has asked `has`."""
        start, end = place.located.position, place.located.end
        covering = self._covering(place.epoch, start, end)
        return b"".join(chunk.read(start, end) for chunk in covering)

    def consume(self, place: Place, purpose: Purpose) -> tuple[bytes, Age]:
        """Erases the place and returns what it held. The caller has asked `has`, and uses the bytes only once the
        journal has made this durable."""
        start, end = place.located.position, place.located.end
        raw = self.peek(place)
        covering = self._covering(place.epoch, start, end)
        age = Age(covering[0].produced_at, covering[0].source)
        self._erase(place.epoch, start, end)
        data = raw[: place.located.size_bytes]
        self._state.ledger.spend(purpose, len(data))
        self._state.ledger.voided += len(raw) - len(data)
        return data, age

    def void(self, epoch: int, start: int, end: int) -> None:
        """Erases what the owner will never use."""
        if epoch in self._chunks:
            self._state.ledger.voided += self._erase(epoch, start, end) * UNIT_BYTES

    def truncate(self, epoch: int, produced: int) -> None:
        """Forgets blocks that the owner never made available; an epoch that it never opened goes altogether."""
        state = self._state.epochs.get(epoch)
        if state is None or state.produced <= produced:
            return
        self.void(epoch, max(produced, ID_KEY_UNITS), state.produced)
        if produced == 0:
            self._forget(epoch)
            self.begin(epoch)
        else:
            state.produced = produced
        self._save()

    def begin(self, epoch: int) -> None:
        """Notes that the owner opens this epoch next, so that no later verdict takes the number for unused."""
        if epoch not in self._state.epochs:
            self._state.epochs[epoch] = _EpochState()
            self._chunks[epoch] = []
            self._save()

    def close_before(self, epoch: int) -> None:
        """The owner will take nothing more of epochs before this one: keeps only what it had taken."""
        for number, state in list(self._state.epochs.items()):
            if number < epoch:
                self.void(number, state.taken, state.produced)
                state.produced = state.taken
                self._drop_if_empty(number)
        self._save()

    def forget_all(self, mark: int) -> None:
        """We were restored from a backup and cannot know what we gave out since: nothing of it is given out again."""
        for number, state in list(self._state.epochs.items()):
            self.void(number, 0, state.produced)
            self._forget(number)
        self._state.mark = max(self._state.mark, mark)
        self._save()

    def raise_mark(self) -> int:
        """Opens a delivery window: the new mark, to be told to the owner once it is durable."""
        self._state.mark += 1
        self._save()
        return self._state.mark

    def expire(self, before: float, max_unfetched_units: int) -> None:
        """Erases what was produced before that wall time, and the oldest of what nobody fetched over the bound."""
        for number, chunks in sorted(self._chunks.items()):
            taken = self._state.epochs[number].taken
            while chunks and (
                chunks[0].produced_at < before
                or (chunks[0].end <= taken and self.unfetched_units > max_unfetched_units)
            ):
                erased = self._erase(number, chunks[0].start, chunks[0].end)
                self._state.ledger.expired += erased * UNIT_BYTES
            self._drop_if_empty(number)

    @property
    def _newest(self) -> _EpochState:
        return self._state.epochs.get(self.epoch) or _EpochState()

    def _given_out(self, epoch: int, located: Located) -> bool:
        state = self._state.epochs.get(epoch)
        return state is not None and located.position >= ID_KEY_UNITS and located.end <= state.taken

    def _covering(self, epoch: int, start: int, end: int) -> list[Chunk]:
        chunks = self._chunks[epoch]
        first = bisect.bisect_right(chunks, start, key=lambda chunk: chunk.start) - 1
        last = bisect.bisect_left(chunks, end, key=lambda chunk: chunk.start)
        return [chunk for chunk in chunks[max(first, 0) : last] if chunk.end > start]

    def _erase(self, epoch: int, start: int, end: int) -> int:
        erased = 0
        for chunk in self._covering(epoch, start, end):
            erased += chunk.erase(start, end)
            slot = self.ref.chunk_slot("follower", epoch, chunk.start)
            if chunk.live:
                self._journal.save(slot, chunk.encode)
            else:
                self._journal.delete(slot)
                self._chunks[epoch].remove(chunk)
        self._live -= erased
        self._save()
        return erased

    def _drop_if_empty(self, epoch: int) -> None:
        if not self._chunks[epoch] and epoch != self.epoch:
            self._forget(epoch)

    def _forget(self, epoch: int) -> None:
        for kept in (self._chunks, self._key_ids, self._state.epochs):
            kept.pop(epoch, None)
        self._save()

    def _save(self) -> None:
        self._journal.save(self.ref.slot("follower"), lambda: msgspec.msgpack.encode(self._state))


def _spans(chunks: list[Chunk], start: int, end: int) -> bool:
    """Whether chunks in their order cover [start, end) without a gap."""
    at = start
    for chunk in chunks:
        if chunk.start > at:
            return False
        at = chunk.end
    return at >= end


def _load_chunks(store: KeyStore, ref: StreamRef, role: Role, epoch: int) -> Iterator[Chunk]:
    prefix = ref.chunk_slot(role, epoch, 0).name.rpartition("/")[0] + "/"
    for slot, value in store.scan("chunk", prefix):
        yield Chunk.decode(int(slot.name.rpartition("/")[2], 16), value)
