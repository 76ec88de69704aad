"""What became of keys that are no longer here: of those that were voided, and of those that no KME of this domain made.

A void is answered the same again, and a key that was fetched before its batch was acknowledged does not come twice.
Only so many are remembered, and the oldest go first: then nothing more is claimed of them.
"""

from collections.abc import Collection

import msgspec

from keyhop.core.ids import SaeId
from keyhop.core.journal import Journal
from keyhop.core.newest import Newest
from keyhop.core.store.base import KeyStore

MAX_ENDINGS = 1 << 16


class Ending(msgspec.Struct, frozen=True):
    """Whose key it was, for which slaves it was voided, since when in wall time, and the batch that brought it."""

    master: SaeId
    voided: list[SaeId]
    created_at: float
    batch: bytes = b""


class Endings(Newest[Ending]):
    """Of one KME, by the ID of the record, or of the stream's key."""

    def __init__(self, store: KeyStore, journal: Journal) -> None:
        super().__init__("ending", Ending, lambda ending: ending.created_at, MAX_ENDINGS, store, journal)

    def is_void(self, key_id: bytes, master: SaeId, slaves: Collection[SaeId]) -> bool:
        """Whether that master's key was voided for all of these slaves."""
        ending = self.get(key_id)
        return ending is not None and ending.master == master and {*slaves} <= {*ending.voided}

    def expire(self, before: float) -> None:
        """Forgets keys that were made before that wall time."""
        for key_id in self:
            if self[key_id].created_at < before:
                self.drop(key_id)
