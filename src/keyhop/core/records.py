"""Keys that are at no stream position: multicast keys, keys of two SAEs at the same KME, keys that a master brought or
another domain.

A record has a random UUID (version 4, so it is never taken for a stream's key ID). Every entitled SAE may fetch it
once, unless the key was voided for it; when nobody may any more it is erased.
"""

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

import msgspec

from keyhop.core.combiners import Combiner
from keyhop.core.endings import Ending, Endings
from keyhop.core.ids import SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial, Stored
from keyhop.core.origin import Path
from keyhop.core.outgoing import Outgoing
from keyhop.core.record_room import RecordRoom
from keyhop.core.store.base import KeyStore, Slot

RecordSource = Literal["kme", "sae", "etsi020"]
"""What made the bytes of a record: the master's KME, the master itself, or another domain."""


class RecordOrigin(NamedTuple):
    """Whose record it is, what made its bytes, when in wall time, and the batch in which another KME sent it.

    `paths` are those over which it came here, none when it was made here; `ways` are the sources of the pads that it
    came under, or how it was relayed, without paths; `expanded`: under a pad of that kind; `combiner`: how it was
    combined with an ML-KEM secret, if it was.
    """

    master: SaeId
    source: RecordSource
    created_at: float
    batch: bytes = b""
    paths: tuple[Path, ...] = ()
    expanded: bool = False
    combiner: Combiner | None = None
    ways: tuple[str, ...] = ()

    @property
    def sender(self) -> str:
        """The KME that sent it, or what made its bytes here."""
        return self.paths[0][0] if self.paths else self.source


class _Record(Stored):
    origin: RecordOrigin
    waiting: list[SaeId]
    key: bytes
    served: list[SaeId] = msgspec.field(default_factory=list)
    voided: list[SaeId] = msgspec.field(default_factory=list)


class RecordBook:
    """The records of one KME."""

    def __init__(self, store: KeyStore, journal: Journal) -> None:
        self._journal = journal
        self._records = {
            bytes.fromhex(slot.name): msgspec.msgpack.decode(value, type=_Record)
            for slot, value in store.scan("record")
        }
        self._stored = dict.fromkeys(self._records)
        self._room = RecordRoom(record.origin for record in self._records.values())
        self.endings = Endings(store, journal)
        self.outgoing = Outgoing(store, journal)

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key_id: bytes) -> bool:
        return key_id in self._records

    def has_room(self, master: SaeId, sender: str, count: int) -> bool:
        """Whether a master may have that many more that come from there (`RecordOrigin.sender`)."""
        return self._room.has(master, sender, count)

    def add(self, key_id: bytes, key: KeyMaterial, slaves: Collection[SaeId], origin: RecordOrigin) -> None:
        """Keeps a key for its slaves at this KME; durable with the journal. Raises ValueError for a record that is here
        already."""
        if key_id in self._records:
            raise ValueError("a record is not replaced")
        self._records[key_id] = _Record(origin, list(slaves), key.reveal())
        self._room.take(origin)
        self._save(key_id)

    def size_bytes(self, key_id: bytes) -> int:
        """The key's length."""
        return len(self._records[key_id].key)

    def origin(self, key_id: bytes) -> RecordOrigin:
        """Where the record comes from."""
        return self._records[key_id].origin

    def knows(self, key_id: bytes) -> bool:
        """Whether such a key is here, or is remembered to have been."""
        return key_id in self._records or key_id in self.endings

    def are_new(self, ids: Iterable[bytes]) -> bool:
        """Whether all of them are here, and were not found in the store: no old copy of that can have brought them."""
        return all(key_id in self._records and key_id not in self._stored for key_id in ids)

    def came_in(self, batch: bytes, key_id: bytes, master: SaeId) -> bool:
        """Whether that batch brought this master's key, which is here or was."""
        record, ending = self._records.get(key_id), self.endings.get(key_id)
        if record is not None:
            return (record.origin.master, record.origin.batch) == (master, batch)
        return ending is not None and (ending.master, ending.batch) == (master, batch)

    def holds(self, key_id: bytes, master: SaeId, key: KeyMaterial) -> bool:
        """Whether this very key of that master is here."""
        record = self._records.get(key_id)
        return record is not None and record.origin.master == master and KeyMaterial(record.key) == key

    def entitles(self, key_id: bytes, master: SaeId, slave: SaeId) -> bool:
        """Whether that slave may still fetch the key as one of that master's."""
        record = self._records[key_id]
        return record.origin.master == master and slave in record.waiting

    def is_over(self, key_id: bytes, master: SaeId, slave: SaeId) -> bool:
        """Whether that slave has fetched the key, or it was voided for it, while others may still fetch it."""
        record = self._records[key_id]
        return record.origin.master == master and (slave in record.served or slave in record.voided)

    def deliver(self, key_id: bytes, slave: SaeId) -> bytes:
        """The key's bytes, for the one time that this slave may have them; use them only once that is durable."""
        record = self._records[key_id]
        record.waiting.remove(slave)
        record.served.append(slave)
        self._settle(key_id)
        return record.key

    def void(self, key_id: bytes, master: SaeId, slaves: Collection[SaeId], *, spare_fetched: bool = False) -> bool:
        """Voids a master's key for those of the slaves that have not fetched it; or, with `spare_fetched`, for none
        when one of them has.

        Whether none of them was given it, and none will be; not so, either, of what is no such key. Idempotent.
        """
        record = self._records.get(key_id)
        if record is None:
            return self.endings.is_void(key_id, master, slaves)
        if record.origin.master != master or not {*slaves} <= {*record.waiting, *record.served, *record.voided}:
            return False
        if spare_fetched and {*slaves} & {*record.served}:
            return False
        if gone := [slave for slave in record.waiting if slave in slaves]:
            record.waiting = [slave for slave in record.waiting if slave not in gone]
            record.voided += gone
            self._settle(key_id)
        return {*slaves} <= {*record.voided}

    def is_void(self, key_id: bytes, master: SaeId, slaves: Collection[SaeId]) -> bool:
        """Whether a master's key is void for all of the slaves already."""
        record = self._records.get(key_id)
        if record is None:
            return self.endings.is_void(key_id, master, slaves)
        return record.origin.master == master and {*slaves} <= {*record.voided}

    def discard(self, key_id: bytes) -> None:
        """Erases a record. Idempotent."""
        record = self._records.pop(key_id, None)
        if record is not None:
            self._room.leave(record.origin)
            self._journal.delete(_slot(key_id))

    def forget_stored(self) -> None:
        """Erases what this process found in its store: of a backup, nobody can tell which of it was delivered.

        What came since is no part of any backup that we were restored from, whatever a peer says.
        """
        for key_id in self._stored:
            self.discard(key_id)
        self.outgoing.forget_stored()

    def forget_all(self) -> None:
        """Erases everything: another node that claims to be this one may have delivered any of it."""
        for key_id in list(self._records):
            self.discard(key_id)
        self.outgoing.forget_stored()

    def expire(self, before: float) -> None:
        """Erases what was created before that wall time, and forgets what became of such keys."""
        for key_id in [k for k, record in self._records.items() if record.origin.created_at < before]:
            self.discard(key_id)
        self.endings.expire(before)

    def _settle(self, key_id: bytes) -> None:
        """A slave has it, or may not have it any more."""
        record = self._records[key_id]
        if record.waiting:
            self._save(key_id)
            return
        self.discard(key_id)
        origin = record.origin
        if record.voided or origin.source != "kme":  # it may be voided again, or come again
            self.endings.add(key_id, Ending(origin.master, record.voided, origin.created_at, origin.batch))

    def _save(self, key_id: bytes) -> None:
        record = self._records[key_id]
        self._journal.save(_slot(key_id), lambda: msgspec.msgpack.encode(record))


def _slot(key_id: bytes) -> Slot:
    return Slot("record", key_id.hex())
