"""Keys that are at no stream position: multicast keys, keys of two SAEs at the same KME, keys from other domains.

A record has a random UUID (version 4, so it is never taken for a stream's key ID). Every entitled SAE may fetch it
once; after the last one it is erased.
"""

import hashlib
from collections import Counter

import msgspec

from keyhop.core.ids import SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path
from keyhop.core.store.base import KeyStore, Slot

MAX_RECORDS = 1 << 18
"""How many keys may wait to be fetched at one KME."""


class _Record(msgspec.Struct):
    master: SaeId
    waiting: list[SaeId]
    key: bytes
    created_at: float
    served: list[SaeId] = []
    expanded: bool = False
    paths: tuple[Path, ...] = ()


class RecordBook:
    """The records of one KME."""

    def __init__(self, store: KeyStore, journal: Journal) -> None:
        self._journal = journal
        self._records = {
            bytes.fromhex(slot.name): msgspec.msgpack.decode(value, type=_Record)
            for slot, value in store.scan("record")
        }
        self._stored = tuple(self._records)
        self._held = Counter(record.master for record in self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key_id: bytes) -> bool:
        return key_id in self._records

    def has_room(self, master: SaeId, count: int) -> bool:
        """Whether a master may have that many more: at most as many as are left for all others."""
        return self._held[master] + count <= MAX_RECORDS - len(self._records)

    def add(
        self,
        key_id: bytes,
        key: KeyMaterial,
        master: SaeId,
        slaves: tuple[SaeId, ...],
        created_at: float,
        paths: tuple[Path, ...] = (),
        *,
        expanded: bool = False,
    ) -> None:
        """Keeps a key for its slaves at this KME, to which it came over these paths, unless it was made here; durable
        with the journal. `expanded`: it came under such a pad."""
        self._records[key_id] = _Record(master, list(slaves), key.reveal(), created_at, paths=paths, expanded=expanded)
        self._held[master] += 1
        self._save(key_id)

    def size_bytes(self, key_id: bytes) -> int:
        """The key's length."""
        return len(self._records[key_id].key)

    def master(self, key_id: bytes) -> SaeId:
        """Who asked for the key."""
        return self._records[key_id].master

    def created_at(self, key_id: bytes) -> float:
        """When the key was made, in wall time."""
        return self._records[key_id].created_at

    def is_expanded(self, key_id: bytes) -> bool:
        """Whether the key came under a pad that was expanded from a seed."""
        return self._records[key_id].expanded

    def paths(self, key_id: bytes) -> tuple[Path, ...]:
        """Over which it came here; none when it was made here."""
        return self._records[key_id].paths

    def entitles(self, key_id: bytes, master: SaeId, slave: SaeId) -> bool:
        """Whether that slave may still fetch the key as one of that master's."""
        record = self._records[key_id]
        return record.master == master and slave in record.waiting

    def was_delivered(self, key_id: bytes, master: SaeId, slave: SaeId) -> bool:
        """Whether that slave has fetched the key as one of that master's, while others may still."""
        record = self._records[key_id]
        return record.master == master and slave in record.served

    def deliver(self, key_id: bytes, slave: SaeId) -> bytes:
        """The key's bytes, for the one time that this slave may have them; use them only once that is durable."""
        record = self._records[key_id]
        record.waiting.remove(slave)
        record.served.append(slave)
        if record.waiting:
            self._save(key_id)
        else:
            self.discard(key_id)
        return record.key

    def was_touched(self, key_id: bytes) -> bool:
        """Whether a slave has fetched the key."""
        return bool(self._records[key_id].served)

    def discard(self, key_id: bytes) -> None:
        """Erases a record. Idempotent."""
        record = self._records.pop(key_id, None)
        if record is not None:
            self._held[record.master] -= 1
            self._journal.delete(_slot(key_id))

    def forget_stored(self) -> None:
        """Erases what this process found in its store: of a backup, nobody can tell which of it was delivered.

        What came since is no part of any backup that we were restored from, whatever a peer says.
        """
        for key_id in self._stored:
            self.discard(key_id)

    def forget_all(self) -> None:
        """Erases everything: another node that claims to be this one may have delivered any of it."""
        for key_id in list(self._records):
            self.discard(key_id)

    def expire(self, before: float) -> None:
        """Erases what was created before that wall time."""
        for key_id in [k for k, record in self._records.items() if record.created_at < before]:
            self.discard(key_id)

    def _save(self, key_id: bytes) -> None:
        record = self._records[key_id]
        self._journal.save(_slot(key_id), lambda: msgspec.msgpack.encode(record))


def _slot(key_id: bytes) -> Slot:
    return Slot("record", key_id.hex())


def foreign_record_id(master: SaeId, key_id: bytes) -> bytes:
    """Under which ID a key is kept whose own ID another domain has chosen.

    That domain may choose any ID, also one that is taken; so a key is kept under a hash of it and of the master's name,
    which is not for this domain's masters. A slave shows the ID as it was chosen.
    """
    return record_ids(hashlib.blake2b(key_id + master.encode(), digest_size=16, person=b"keyhop foreign").digest())


def record_ids(random: bytes) -> bytes:
    """Turns 16 random bytes a key into UUIDs of version 4, one after the other."""
    ids = bytearray(random)
    ids[6::16] = bytes(0x40 | b & 0x0F for b in ids[6::16])
    ids[8::16] = bytes(0x80 | b & 0x3F for b in ids[8::16])
    return bytes(ids)
