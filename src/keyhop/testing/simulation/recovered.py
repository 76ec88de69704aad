"""What a KME could still give its SAEs if its machine lost power now: production code over what its disk must hold."""

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.record_ids import chosen_record_id
from keyhop.core.records import RecordBook
from keyhop.core.streams import FollowedStream, Route, StreamRef
from keyhop.testing.history import record_name
from keyhop.testing.simulation.machine import Machine

ROUTES: tuple[Route, ...] = ("direct", "relayed")


class Recovered:
    """Of one machine; looks at the disk again after each commit."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._commits = -1

    def key(self, key_id: bytes, master: SaeId, slave: SaeId, source: KmeId | None) -> bytes | None:
        """The bytes that the slave would get for that ID; `source` is the master's KME, None in another domain."""
        self._look()
        record = chosen_record_id(master, key_id) if source is None else record_name(master, key_id)
        if record in self._records:
            if not self._records.entitles(record, master, slave):
                return None
            self._commits = -1  # this is gone from memory now
            return self._records.deliver(record, slave)
        if source in (None, self._machine.name):
            return None
        for route in ROUTES:
            assert source is not None
            stream = self._stream(StreamRef(source, self._machine.name, route))
            place = stream.find(key_id, master, slave)
            if place is not None and stream.has(place):
                return stream.peek(place)[: place.located.size_bytes]
        return None

    def _stream(self, ref: StreamRef) -> FollowedStream:
        if ref not in self._streams:
            self._streams[ref] = FollowedStream(ref, self._store, self._journal)
        return self._streams[ref]

    def _look(self) -> None:
        if self._commits == self._machine.disk.commits:
            return
        self._commits = self._machine.disk.commits
        self._store = self._machine.disk.worst_case()
        self._journal = Journal(self._store, lambda: None)
        self._records = RecordBook(self._store, self._journal)
        self._streams: dict[StreamRef, FollowedStream] = {}
