"""Records that come from another KME: which of them are kept, for whom, and which are here already."""

from collections.abc import Callable

from keyhop.core.clock import Clock
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook, record_ids
from keyhop.network.relay.messages import RecordsPayload
from keyhop.network.wire import Carry


class Arrivals:
    """Puts into the record book what other KMEs may put there."""

    def __init__(self, me: KmeId, records: RecordBook, clock: Clock, home: Callable[[SaeId], KmeId | None]) -> None:
        """`home` tells which KME an SAE belongs to."""
        self._me = me
        self._records = records
        self._clock = clock
        self._home = home

    def holds(self, source: KmeId, batch: Carry | RecordsPayload) -> bool:
        """Whether it comes again: its records are here, and nobody can have fetched one before the answer."""
        records, ids = self._records, _each(batch.ids, KEY_ID_BYTES)
        here = bool(ids) and all(k in records and records.master(k) == batch.master for k in ids)
        return here and self._home(SaeId(batch.master)) == source

    def accepts(self, source: KmeId, batch: Carry | RecordsPayload, size_bytes: int) -> bool:
        """Whether these are new records, with keys of `size_bytes` in all, which that KME may send for our SAEs."""
        count, rest = divmod(len(batch.ids), KEY_ID_BYTES)
        ids = _each(batch.ids, KEY_ID_BYTES)
        return (
            count > 0
            and rest == 0
            and record_ids(batch.ids) == batch.ids  # else they could be the IDs of another stream's keys
            and len({key_id for key_id in ids if key_id not in self._records}) == count
            and size_bytes > 0
            and size_bytes % count == 0
            and self._records.has_room(SaeId(batch.master), count)
            and self._home(SaeId(batch.master)) == source
            and all(self._home(SaeId(slave)) == self._me for slave in batch.slaves)
            and len(set(batch.slaves)) == len(batch.slaves)
        )

    def keep(self, batch: Carry | RecordsPayload, keys: bytes) -> None:
        """Stores what was accepted; durable with the journal."""
        ids = _each(batch.ids, KEY_ID_BYTES)
        slaves = tuple(SaeId(slave) for slave in batch.slaves)
        created_at = self._clock.wall()  # by the clock that they will be too old by
        for key_id, key in zip(ids, _each(keys, len(keys) // len(ids)), strict=True):
            self._records.add(key_id, KeyMaterial(key), SaeId(batch.master), slaves, created_at)

    def recall(self, source: KmeId, ids: bytes) -> None:
        """That KME takes back records of its masters, which nobody was given."""
        for key_id in _each(ids, KEY_ID_BYTES):
            if key_id in self._records and self._home(self._records.master(key_id)) == source:
                self._records.discard(key_id)


def _each(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]
