"""The owner's end of a stream."""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile

import msgspec

from keyhop.core.chunk import Age, Chunk, split
from keyhop.core.journal import Journal
from keyhop.core.key_id import ID_KEY_BYTES, EpochKeyIds
from keyhop.core.keys import Stored
from keyhop.core.ledger import Ledger, Purpose
from keyhop.core.store.base import KeyStore
from keyhop.core.streams.base import (
    ID_KEY_UNITS,
    Block,
    Lease,
    StreamRef,
    Taken,
    booked,
    history_with,
    load_chunks,
)
from keyhop.core.units import MAX_POSITION, UNIT_BYTES, units_for


class _OwnerState(Stored):
    epoch: int = 1
    produced: int = 0
    taken: int = 0
    mark_seen: int = 0
    id_key: bytes = b""
    history: bytes = b""
    ledger: Ledger = msgspec.field(default_factory=Ledger)


class OwnedStream:
    """Decides what the stream's bytes are used for."""

    def __init__(self, ref: StreamRef, store: KeyStore, journal: Journal) -> None:
        self.ref = ref
        self._journal = journal
        self._slot = ref.slot("owner")
        stored = store.read(self._slot)
        self._state = msgspec.msgpack.decode(stored, type=_OwnerState) if stored else _OwnerState()
        self._chunks = deque(load_chunks(store, ref, "owner", self._state.epoch))
        self._available = sum(chunk.units for chunk in self._chunks)
        self.key_ids = EpochKeyIds(self._state.id_key) if self._state.id_key else None
        self.brought_units = self.used_units = 0
        """Since this process began: what came, and what was put to use."""
        self._lease = b""
        self._lease_start = self._cursor = self._state.taken
        self._ages: deque[tuple[int, Age]] = deque()
        ledger = self._state.ledger
        ledger.burnt += ledger.leased
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
    def history(self) -> bytes:
        """The digest of the epoch's blocks, in their order."""
        return self._state.history

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
    def stock_units(self) -> int:
        """Units that can still be taken: in the store, leased, and leased but not yet active."""
        return self._available + self._state.ledger.leased // UNIT_BYTES

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
        data = booked(block, ledger)
        start = state.produced
        state.produced += block.units
        self.brought_units += block.units
        state.history = history_with(state.history, block)
        if start == 0:
            state.id_key, data = data[:ID_KEY_BYTES], data[ID_KEY_BYTES:]
            self.key_ids = EpochKeyIds(state.id_key)
            ledger.id_key += ID_KEY_BYTES
            start = state.taken = self._cursor = self._lease_start = ID_KEY_UNITS
        slot_at = partial(self.ref.chunk_slot, "owner", state.epoch)
        for chunk in split(slot_at, start, data, Age(block.produced_at, block.source)):
            self._chunks.append(chunk)
            self._available += chunk.units
            self._journal.save(chunk.slot, chunk.encode)
        self._save()

    def lease(self, units: int) -> Lease | None:
        """Moves `units` (or what there is of them) out of the store; None when there is nothing."""
        start = self._state.taken
        chunks = list(self._pop(units))
        if not chunks:
            return None
        self._state.ledger.leased += (self._state.taken - start) * UNIT_BYTES
        self._ages.extend((chunk.end, chunk.age) for chunk in chunks)
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
        position, ages = self._cursor, [self._ages[0]]
        self._cursor += units * count
        self.used_units += units * count
        while self._ages and self._ages[0][0] <= self._cursor:
            self._ages.popleft()
            if ages[-1][0] < self._cursor:
                ages.append(self._ages[0])
        if width != size_bytes:
            raw = b"".join(raw[i : i + size_bytes] for i in range(0, total, width))
        ledger = self._state.ledger
        ledger.leased -= total
        ledger.spend(purpose, len(raw))
        ledger.voided += total - len(raw)
        return Taken(self.epoch, position, raw, ages)

    def next_age(self) -> Age | None:
        """The age of the byte that would be taken next, or None when there is none."""
        return next(self.ages(1), None)

    def ages(self, units: int) -> Iterator[Age]:
        """Those of the next so many units, as far as they are there."""
        end = self._cursor + units
        return (age for _, age in takewhile(lambda begun: begun[0] < end, self._ages_from()))

    def seal(self) -> tuple[int, int] | None:
        """Voids the rest of the lease (a graceful stop); returns the range of units that nobody will ever use."""
        rest = (self._cursor, self._state.taken)
        self._drop_lease()
        self._save()
        return rest if rest[0] < rest[1] else None

    def expire(self, before: float) -> tuple[int, int] | None:
        """Voids bytes produced before that wall time, leased or not; returns their range of units."""
        old = takewhile(lambda each: each[1].produced_at < before, self._ages_to())
        return self._give_up(max((end for end, _ in old), default=0), "expired")

    def give_up(self, source: Callable[[str], bool]) -> tuple[int, int] | None:
        """Voids everything up to the last that is from such a source, leased or not; returns its range of units."""
        unfit = (end for end, age in self._ages_to() if source(age.source))
        return self._give_up(max(unfit, default=0), "voided")

    def _give_up(self, end: int, purpose: Purpose) -> tuple[int, int] | None:
        """`end` is where bytes of one age end."""
        start, ledger = self._cursor, self._state.ledger
        if end <= start:
            return None
        while self._ages and self._ages[0][0] <= end:
            self._cursor = self._ages.popleft()[0]
        ledger.leased -= (self._cursor - start) * UNIT_BYTES
        if end > self._state.taken:
            for _ in self._pop(end - self._state.taken):
                pass
            self._cursor = self._state.taken
        if self._cursor >= self._lease_start + len(self._lease) // UNIT_BYTES:
            self._lease, self._lease_start = b"", self._cursor
        ledger.spend(purpose, (self._cursor - start) * UNIT_BYTES)
        self._save()
        return start, self._cursor

    def close_epoch(self, next_epoch: int) -> None:
        """Discards everything that is left of this epoch; the next block opens `next_epoch`."""
        state = self._state
        for chunk in self._chunks:
            self._journal.delete(chunk.slot)
        state.ledger.voided += self.available_bytes
        self._chunks.clear()
        self._available = 0
        self._drop_lease()
        state.epoch, state.produced, state.taken = next_epoch, 0, 0
        state.id_key = state.history = b""
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

    def _ages_from(self) -> Iterator[tuple[int, Age]]:
        """Where the bytes of each age begin, in their order."""
        start = self._cursor
        for end, age in self._ages:
            yield start, age
            start = end
        for chunk in self._chunks:
            yield chunk.start, chunk.age

    def _ages_to(self) -> Iterator[tuple[int, Age]]:
        """Where the bytes of each age end, in their order."""
        yield from self._ages
        for chunk in self._chunks:
            yield chunk.end, chunk.age

    def _pop(self, units: int) -> Iterator[Chunk]:
        while units > 0 and self._chunks:
            chunk = self._chunks.popleft()
            self._journal.delete(chunk.slot)
            if chunk.units > units:
                slot = self.ref.chunk_slot("owner", self.epoch, chunk.start + units)
                chunk, rest = chunk.cut(units, slot)
                self._chunks.appendleft(rest)
                self._journal.save(rest.slot, rest.encode)
            self._available -= chunk.units
            units -= chunk.units
            self._state.taken = chunk.end
            self._save()
            yield chunk

    def _drop_lease(self) -> None:
        ledger = self._state.ledger
        ledger.voided += ledger.leased
        ledger.leased = 0
        self._lease = b""
        self._ages.clear()
        self._lease_start = self._cursor = self._state.taken

    def _save(self) -> None:
        self._journal.save(self._slot, self._encode)

    def _encode(self) -> bytes:
        return msgspec.msgpack.encode(self._state)
