"""What was sent to another KMS, or received from it, under which key IDs, and what became of it.

It outlives the process, is bounded, and forgets after a while. The keys are not in it. So that a retry that brings
another key under the same ID is found out, it has a mark of each: of a received key eight bytes of a hash, of one that
was sent the batch in which it left, or another KME of this domain brought it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import KeyStore, Slot
from keyhop.service.etsi020.transfer import Saes

MAX_REMEMBERED = 1 << 17
"""Keys of one direction and one other KMS."""

type _Who = tuple[SaeId, frozenset[SaeId]]
type Way = Literal["sent", "received"]
type Fate = Literal["under way", "relayed", "failed", "refused", "voiding", "voided", "uncertain"]
"""Of a key that was sent, `under way` is also what nobody may rely on: its outcome is not known. It stays
`uncertain` when the other KMS could not void it. It is `voiding` when it was relayed and its master takes it back.
Of a key that was received, `refused` says that it failed before any KME could have it."""


class Remembered(msgspec.Struct):
    """One key; `since` counts seconds since 1970, `callback` is whom to tell when it is no longer under way."""

    initiator: SaeId
    targets: tuple[SaeId, ...]
    fate: Fate
    since: float
    mark: bytes = b""
    callback: str | None = None

    @property
    def saes(self) -> Saes:
        """For whom it is."""
        return Saes(self.initiator, self.targets)


class KeyMemory:
    """The keys of one direction."""

    def __init__(
        self, way: Way, peer: KmeId, store: KeyStore, journal: Journal, clock: Clock, lifetime_s: float
    ) -> None:
        self._way = way
        self._prefix = f"{way}/{peer}/"
        self._journal = journal
        self._clock = clock
        self.lifetime_s = lifetime_s
        self._keys: dict[bytes, Remembered] = {
            bytes.fromhex(slot.name[-32:]): msgspec.msgpack.decode(value, type=Remembered)
            for slot, value in store.scan("exchange", self._prefix)
            if len(slot.name) == len(self._prefix) + 32
        }
        self._not_void: dict[_Who, dict[bytes, None]] = {}
        for key_id in self._keys:
            self._index(key_id)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key_id: bytes) -> bool:
        return key_id in self._keys

    def __getitem__(self, key_id: bytes) -> Remembered:
        return self._keys[key_id]

    def get(self, key_id: bytes) -> Remembered | None:
        """What is known of a key."""
        return self._keys.get(key_id)

    def has_room(self, count: int) -> bool:
        """Whether so many more can be remembered."""
        return len(self._keys) + count <= MAX_REMEMBERED

    def add(self, key_id: bytes, saes: Saes, fate: Fate, *, mark: bytes = b"", callback: str | None = None) -> None:
        """Remembers a key from now on, or anew."""
        self._leave_out(key_id)
        self._keys[key_id] = Remembered(saes.initiator, saes.targets, fate, self._clock.wall(), mark, callback)
        self._index(key_id)
        self.save(key_id)

    def settle(self, ids: Iterable[bytes], fate: Fate) -> None:
        """What became of keys."""
        for key_id in ids:
            if key_id in self._keys:
                self._leave_out(key_id)
                self._keys[key_id].fate = fate
                self._index(key_id)
                self.save(key_id)

    def save(self, key_id: bytes) -> None:
        """A key's entry was changed."""
        entry = self._keys[key_id]
        self._journal.save(self._slot(key_id), lambda: msgspec.msgpack.encode(entry))

    def that_are(self, fate: Fate) -> Iterator[tuple[Saes, list[bytes]]]:
        """The keys of a fate, by their SAEs."""
        found: dict[Saes, list[bytes]] = {}
        for key_id, entry in self._keys.items():
            if entry.fate == fate:
                found.setdefault(entry.saes, []).append(key_id)
        yield from found.items()

    def of(self, saes: Saes) -> tuple[bytes, ...]:
        """The keys of these SAEs that are not void."""
        return tuple(self._not_void.get(_who(saes), ()))

    def expire(self) -> None:
        """Forgets what is old, but not what is received and under way: its relay ends, and tells who waits for it.
        What is sent and under way may have to be voided at a KMS that never answers."""
        before = self._clock.wall() - self.lifetime_s
        old = [(key_id, entry.fate) for key_id, entry in self._keys.items() if entry.since < before]
        for key_id in [key_id for key_id, fate in old if (self._way, fate) != ("received", "under way")]:
            self._leave_out(key_id)
            del self._keys[key_id]
            self._journal.delete(self._slot(key_id))

    def _index(self, key_id: bytes) -> None:
        entry = self._keys[key_id]
        if entry.fate != "voided":
            self._not_void.setdefault(_who(entry.saes), {})[key_id] = None

    def _leave_out(self, key_id: bytes) -> None:
        entry = self._keys.get(key_id)
        if entry is not None and entry.fate != "voided":
            of_these = self._not_void[who := _who(entry.saes)]
            del of_these[key_id]
            if not of_these:
                del self._not_void[who]

    def _slot(self, key_id: bytes) -> Slot:
        return Slot("exchange", self._prefix + key_id.hex())


def _who(saes: Saes) -> _Who:
    return saes.initiator, frozenset(saes.targets)


def mark_of(key_id: bytes, key: KeyMaterial) -> bytes:
    """Tells keys apart."""
    return hashlib.blake2b(key.reveal(), digest_size=8, key=key_id).digest()
