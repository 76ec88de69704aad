"""What a KME could still give its SAEs if its machine lost power now: production code over what its disk must hold."""

from collections.abc import Iterator

from keyhop.core.combiners import KDF, XOR, Combiner
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.record_ids import chosen_record_id
from keyhop.core.records import RecordBook
from keyhop.core.streams import FollowedStream, Place, Route, StreamRef
from keyhop.network.hybrid.combining import use_of
from keyhop.network.hybrid.kept import KeptSecrets
from keyhop.network.hybrid.secret import Secret
from keyhop.testing.history import Held, record_name
from keyhop.testing.hybrid_keys import hybrid_key
from keyhop.testing.material import STREAM_ID_VERSION
from keyhop.testing.simulation.machine import Machine

ROUTES: tuple[Route, ...] = ("direct", "relayed")


class Recovered:
    """Of one machine; looks at the disk again after each commit."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._commits = -1
        self._records: RecordBook | None = None

    def key(self, key_id: bytes, master: SaeId, slave: SaeId, source: KmeId | None) -> Held | None:
        """What the slave would get for that ID; `source` is the master's KME, None in another domain."""
        self._look()
        record = chosen_record_id(master, key_id) if source is None else record_name(master, key_id)
        if record[6] >> 4 != STREAM_ID_VERSION and record in (records := self._stored_records()):
            if not records.entitles(record, master, slave):
                return None
            self._records = None  # this is gone from memory now
            key = records.deliver(record, slave)
            return Held(key, key)
        if source in (None, self._machine.name):
            return None
        for route in ROUTES:
            assert source is not None
            stream = self._stream(StreamRef(source, self._machine.name, route))
            place = stream.find(key_id, master, slave) or self._find_bound(stream, key_id, master, slave)
            if place is not None:
                size = place.located.size_bytes
                part = stream.peek(place)[:size]
                if not place.use:
                    return Held(part, part)
                combiner, secret = next(each for each in self._bound(stream, place.epoch) if use_of(*each) == place.use)
                return Held(hybrid_key(combiner, secret.shared.reveal(), master, slave, key_id, size, part), part)
        return None

    def _find_bound(self, stream: FollowedStream, key_id: bytes, master: SaeId, slave: SaeId) -> Place | None:
        return stream.find(key_id, master, slave, lambda epoch: (use_of(*each) for each in self._bound(stream, epoch)))

    def _bound(self, stream: FollowedStream, epoch: int) -> Iterator[tuple[Combiner, Secret]]:
        """With what keys of an epoch may be combined."""
        if stream.ref not in self._secrets:
            self._secrets[stream.ref] = KeptSecrets(stream, self._store, self._journal)
        return ((combiner, secret) for secret in self._secrets[stream.ref].of(epoch) for combiner in (XOR, KDF))

    def _stream(self, ref: StreamRef) -> FollowedStream:
        if ref not in self._streams:
            self._streams[ref] = FollowedStream(ref, self._store, self._journal)
        return self._streams[ref]

    def _stored_records(self) -> RecordBook:
        if self._records is None:
            self._records = RecordBook(self._store, self._journal)
        return self._records

    def _look(self) -> None:
        if self._commits == self._machine.disk.commits:
            return
        self._commits = self._machine.disk.commits
        self._store = self._machine.disk.worst_case()
        self._journal = Journal(self._store, lambda: None)
        self._records = None
        self._streams: dict[StreamRef, FollowedStream] = {}
        self._secrets: dict[StreamRef, KeptSecrets] = {}
