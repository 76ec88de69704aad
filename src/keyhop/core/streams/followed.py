"""The follower's end of a stream."""

from collections.abc import Iterable

import msgspec

from keyhop.core.chunk import Age
from keyhop.core.ids import SaeId
from keyhop.core.journal import Journal
from keyhop.core.key_id import ID_KEY_BYTES, EpochKeyIds
from keyhop.core.ledger import Ledger, Purpose
from keyhop.core.store.base import KeyStore
from keyhop.core.streams.base import ID_KEY_UNITS, Ages, Block, Place, StreamRef, Uses, booked, history_with, plain
from keyhop.core.streams.follower_state import EpochState, FollowerState
from keyhop.core.streams.holdings import Holdings
from keyhop.core.units import UNIT_BYTES, units_for

MAX_EPOCHS = 16
"""Every key ID is tried in all epochs that we hold; honest ends begin one only after a restored backup."""


class FollowedStream:
    """Keeps its copy of every unit until the unit is asked for, voided or expired."""

    def __init__(self, ref: StreamRef, store: KeyStore, journal: Journal) -> None:
        self.ref = ref
        self._journal = journal
        self._slot = ref.slot("follower")
        stored = store.read(self._slot)
        self._state = msgspec.msgpack.decode(stored, type=FollowerState) if stored else FollowerState()
        self._holdings = Holdings(ref, store, journal, self._state.epochs)
        self._key_ids = {n: EpochKeyIds(e.id_key) for n, e in self._state.epochs.items() if e.id_key}

    @property
    def epoch(self) -> int:
        """The newest epoch we know of, or 0."""
        return self._state.epoch

    @property
    def produced(self) -> int:
        """What we hold of the newest epoch ends here."""
        return self._state.newest.produced

    @property
    def history(self) -> bytes:
        """The digest of the newest epoch's blocks, in their order."""
        return self._state.newest.history

    @property
    def confirmed(self) -> int:
        """What the owner surely has of the newest epoch ends here: it appended this before it placed what follows."""
        return self._state.newest.confirmed

    @property
    def confirmed_history(self) -> bytes:
        """The digest of the blocks before `confirmed`."""
        return self._state.newest.confirmed_history

    @property
    def taken(self) -> int:
        """What the owner has told us that it took of the newest epoch."""
        return self._state.newest.taken

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
        return self._holdings.live_units * UNIT_BYTES

    @property
    def unfetched_units(self) -> int:
        """What the owner took and nobody has asked for yet."""
        return self._holdings.live_units - self.untaken_units

    @property
    def untaken_units(self) -> int:
        """What the owner can still take of the newest epoch, as far as we know."""
        return self._state.newest.produced - self._state.newest.taken

    def append(self, epoch: int, blocks: Iterable[Block]) -> None:
        """Stores blocks at `produced` of an epoch, which is opened when it is new."""
        self.begin(epoch)
        state = self._state.epochs[epoch]
        state.confirmed, state.confirmed_history = state.produced, state.history
        for block in blocks:
            self._append_block(epoch, state, block)
        self._save()

    def _append_block(self, epoch: int, state: EpochState, block: Block) -> None:
        ledger = self._state.ledger
        data = booked(block, ledger)
        start = state.produced
        state.produced += block.units
        state.history = history_with(state.history, block)
        if start == 0:
            state.id_key, data = data[:ID_KEY_BYTES], data[ID_KEY_BYTES:]
            self._key_ids[epoch] = EpochKeyIds(state.id_key)
            ledger.id_key += ID_KEY_BYTES
            start = state.taken = ID_KEY_UNITS
        self._holdings.put(epoch, start, data, Age(block.produced_at, block.source))

    def note_taken(self, epoch: int, taken: int) -> bool:
        """Notes that the owner took everything below; False when we do not know that much of the epoch."""
        state = self._state.epochs.get(epoch)
        if state is None or taken > state.produced:
            return False
        if taken > state.taken:
            state.taken = taken
            self._save()
        return True

    def holds_epoch(self, epoch: int) -> bool:
        """Whether bytes of that epoch may be here."""
        return epoch in self._key_ids

    def lowest_live(self, epoch: int) -> int | None:
        """The first position of an epoch at which something still is; None when there is nothing."""
        chunk = self._holdings.oldest(epoch)
        return None if chunk is None else chunk.lowest_live

    def key_ids(self, epoch: int) -> EpochKeyIds:
        """The key IDs of an epoch that we hold."""
        return self._key_ids[epoch]

    def find(self, key_id: bytes, master: SaeId, slave: SaeId, uses: Uses = plain) -> Place | None:
        """The place that this ID seals for this pair of SAEs and one of these uses, if its bytes are there.

        That is looked at first: however many uses there are, an ID that names nothing costs little.
        """
        for number, key_ids in self._key_ids.items():
            located = key_ids.locate(key_id)
            if located is None or not self._has(number, located.position, located.end):
                continue
            for use in uses(number):
                if key_ids.pair(master, slave, use).recognises(key_id, located):
                    return Place(number, located, use)
        return None

    def is_someone_elses(self, key_id: bytes) -> bool:
        """Whether the ID, which is not this pair's, names bytes that are there for somebody."""
        return any(
            (located := key_ids.locate(key_id)) and self._has(number, located.position, located.end)
            for number, key_ids in self._key_ids.items()
        )

    def has(self, place: Place, count: int = 1) -> bool:
        """Whether the owner has given out the place and all its bytes are still there.

        As in what follows, `count` keys of one size may lie one after the other, the first of them at `place`.
        """
        return self._has(place.epoch, *_range(place, count))

    def _has(self, epoch: int, start: int, end: int) -> bool:
        state = self._state.epochs.get(epoch)
        return state is not None and state.was_taken(start, end) and self._holdings.has(epoch, start, end)

    def peek(self, place: Place) -> bytes:
        """What the place holds, to check something by it. The caller has asked `has`."""
        return self._holdings.read(place.epoch, *_range(place, 1))

    def ages(self, place: Place, count: int = 1) -> list[Age]:
        """Those of the bytes at the place. The caller has asked `has`."""
        return self._holdings.ages(place.epoch, *_range(place, count))

    def consume(self, place: Place, purpose: Purpose, count: int = 1) -> tuple[bytes, Ages]:
        """Erases the place and returns what it held. The caller has asked `has`, and uses the bytes only once the
        journal has made this durable."""
        raw, ages = self._holdings.take(place.epoch, *_range(place, count))
        size, total = place.located.size_bytes, len(raw)
        if total != size * count:
            width = total // count
            raw = b"".join([raw[i : i + size] for i in range(0, total, width)])
        self._state.ledger.spend(purpose, len(raw))
        self._state.ledger.voided += total - len(raw)
        self._save()
        return raw, ages

    def void(self, epoch: int, start: int, end: int) -> None:
        """Erases what the owner will never use."""
        self._state.ledger.voided += self._holdings.erase(epoch, start, end) * UNIT_BYTES
        self._save()

    def forget_unconfirmed(self, epoch: int) -> None:
        """Forgets the last blocks: the owner never made them available. Of a new epoch nothing is left."""
        state = self._state.epochs[epoch]
        self.void(epoch, max(state.confirmed, ID_KEY_UNITS), state.produced)
        if state.confirmed == 0:
            self._forget(epoch)
            self.begin(epoch)
        else:
            state.produced, state.history = state.confirmed, state.confirmed_history
        self._save()

    def begin(self, epoch: int) -> None:
        """Notes that the owner opens this epoch next, so that no later verdict takes the number for unused."""
        if epoch not in self._state.epochs:
            self._state.epochs[epoch] = EpochState()
            self._holdings.open(epoch)
            self._save()

    def close_before(self, epoch: int) -> None:
        """The owner will take nothing more of epochs before this one: keeps only what it had taken."""
        for number, state in list(self._state.epochs.items()):
            if number < epoch:
                self.void(number, state.taken, state.produced)
                state.produced = state.taken
                self._drop_if_empty(number)
        for number in sorted(self._state.epochs)[:-MAX_EPOCHS]:
            self.void(number, 0, self._state.epochs[number].produced)
            self._forget(number)
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
        """Erases what nobody fetched: what was produced before that wall time, and the oldest over the bound.

        What the owner has not taken is the owner's to expire: by our clock, which may be wrong, we would erase what he
        still gives out.
        """
        ledger = self._state.ledger
        for number, state in sorted(self._state.epochs.items()):
            while (
                (first := self._holdings.oldest(number))
                and (state.taken == state.produced or first.end <= state.taken)
                and (first.age.produced_at < before or self.unfetched_units > max_unfetched_units)
            ):
                ledger.expired += self._holdings.erase(number, first.start, first.end) * UNIT_BYTES
                self._save()
            self._drop_if_empty(number)

    def _drop_if_empty(self, epoch: int) -> None:
        if self._holdings.oldest(epoch) is None and epoch != self.epoch:
            self._forget(epoch)

    def _forget(self, epoch: int) -> None:
        self._holdings.close(epoch)
        self._key_ids.pop(epoch, None)
        self._state.epochs.pop(epoch, None)
        self._save()

    def _save(self) -> None:
        self._journal.save(self._slot, self._encode)

    def _encode(self) -> bytes:
        return msgspec.msgpack.encode(self._state)


def _range(place: Place, count: int) -> tuple[int, int]:
    """The units of `count` keys, from the first to before the last."""
    start, size = place.located
    return start, start + units_for(size) * count
