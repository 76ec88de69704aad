"""dec_keys: the keys that a slave may have once, all of those it asks for or none.

What the IDs name is found first (`lookup`). Then everything is taken at once, and the answer waits for the journal.
"""

from collections.abc import Mapping

from keyhop.core.errors import KeyhopError, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook
from keyhop.core.streams import FollowedStream
from keyhop.network.pair import Pair
from keyhop.service.lookup import InRecord, InStream, Lookup, SentBefore
from keyhop.service.redelivery import Redelivery
from keyhop.service.requests import GetKeyWithIds, KeyReply, KeyRun, Keys


class Claims:
    """Answers get_key_with_ids."""

    def __init__(
        self, pairs: Mapping[KmeId, Pair], records: RecordBook, redelivery: Redelivery, journal: Journal
    ) -> None:
        self._pairs = pairs
        self._records = records
        self._redelivery = redelivery
        self._journal = journal

    def get_key_with_ids(self, request: GetKeyWithIds, source: KmeId, reply: KeyReply) -> None:
        """`source` is the master's KME. Raises Unavailable; otherwise replies."""
        gate = self._pairs.get(source) or next(iter(self._pairs.values()), None)
        if gate is not None and not gate.windows.ready:
            raise Unavailable(f"not yet synchronised with KME {gate.peer}", retry_after_s=1.0)

        def deliver() -> None:
            try:
                keys = self._claim(request, source)
                self._journal.then(lambda: reply(keys), reply)
            except KeyhopError as error:
                reply(error)

        if gate is None:
            deliver()
            return
        late = Unavailable(f"KME {gate.peer} does not answer", retry_after_s=1.0)
        gate.windows.enter(deliver, lambda: reply(late))

    def _claim(self, request: GetKeyWithIds, source: KmeId) -> Keys:
        """Takes all keys or, with a KeyhopError, none."""
        pair = self._pairs.get(source)
        stream = pair.followed if pair else None
        runs: list[KeyRun] = []
        fresh: list[KeyRun] = []
        at = 0
        for found in Lookup(stream, self._records, self._redelivery).find(request):
            count = found.number if isinstance(found, InStream) else 1
            ids = request.key_ids[at] if count == 1 else b"".join(request.key_ids[at : at + count])
            at += count
            if isinstance(found, SentBefore):
                key = self._redelivery.take(request.master, request.slave, ids)
                runs.append(KeyRun(ids, len(key), key))
            else:
                size, data = self._consume(found, stream, request.slave)
                runs.append(run := KeyRun(ids, size, KeyMaterial(data)))
                fresh.append(run)
        for run in fresh:  # last, because it may push out what was sent before
            self._redelivery.keep(request.master, request.slave, run)
        return Keys(tuple(runs), sent_before=len(runs) - len(fresh))

    def _consume(self, found: InStream | InRecord, stream: FollowedStream | None, slave: SaeId) -> tuple[int, bytes]:
        """The size of the keys, and their bytes one after the other."""
        if isinstance(found, InStream):
            assert stream is not None  # it was found there
            return found.place.located.size_bytes, stream.consume(found.place, "delivered", found.number)[0]
        data = self._records.deliver(found.key_id, slave)
        return len(data), data
