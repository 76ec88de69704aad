"""What became of keys that are no longer here: of those that were voided, and of those that no KME of this domain made.

A void is answered the same again, and a key that was fetched before its batch was acknowledged does not come twice.
Only so many are remembered, and the oldest go first: then nothing more is claimed of them.
"""

from collections.abc import Collection

import msgspec

from keyhop.core.ids import SaeId
from keyhop.core.journal import Journal
from keyhop.core.store.base import KeyStore, Slot

MAX_ENDINGS = 1 << 16


class Ending(msgspec.Struct, frozen=True):
    """Whose key it was, for which slaves it was voided, since when in wall time, and the batch that brought it."""

    master: SaeId
    voided: list[SaeId]
    created_at: float
    batch: bytes = b""


class Endings:
    """Of one KME, by the ID of the record, or of the stream's key."""

    def __init__(self, store: KeyStore, journal: Journal) -> None:
        self._journal = journal
        stored = [
            (bytes.fromhex(slot.name), msgspec.msgpack.decode(value, type=Ending))
            for slot, value in store.scan("ending")
        ]
        self._endings = dict(sorted(stored, key=lambda each: each[1].created_at))

    def __len__(self) -> int:
        return len(self._endings)

    def __contains__(self, key_id: bytes) -> bool:
        return key_id in self._endings

    def get(self, key_id: bytes) -> Ending | None:
        """What became of that key, as far as it is known."""
        return self._endings.get(key_id)

    def add(self, key_id: bytes, ending: Ending) -> None:
        """From now on; durable with the journal."""
        self._endings.pop(key_id, None)
        if len(self._endings) >= MAX_ENDINGS:
            self._forget(next(iter(self._endings)))
        self._endings[key_id] = ending
        self._journal.save(_slot(key_id), lambda: msgspec.msgpack.encode(ending))

    def is_void(self, key_id: bytes, master: SaeId, slaves: Collection[SaeId]) -> bool:
        """Whether that master's key was voided for all of these slaves."""
        ending = self._endings.get(key_id)
        return ending is not None and ending.master == master and {*slaves} <= {*ending.voided}

    def expire(self, before: float) -> None:
        """Forgets keys that were made before that wall time."""
        for key_id in [k for k, ending in self._endings.items() if ending.created_at < before]:
            self._forget(key_id)

    def _forget(self, key_id: bytes) -> None:
        del self._endings[key_id]
        self._journal.delete(_slot(key_id))


def _slot(key_id: bytes) -> Slot:
    return Slot("ending", key_id.hex())
