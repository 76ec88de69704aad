"""Keys that their masters void, at the KME of their slaves.

What a slave has fetched it has; all else it will never get. A key is voided within a delivery window, as it is given
out, and durably before the answer: nobody who comes back from an old copy of the store gives it out unnoticed.
"""

from collections.abc import Callable, Mapping

from keyhop.core.audit import event_record
from keyhop.core.clock import Clock
from keyhop.core.endings import Ending
from keyhop.core.errors import StoreFailure, Unavailable
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.records import RecordBook
from keyhop.network.peer import Peer
from keyhop.network.reclaiming import Keys
from keyhop.service.gates import check_not_doubted, enter, gates
from keyhop.service.making import any_use

type Took = Callable[[bytes | None], None]
"""Gets the IDs of those keys that none of the slaves was given, and none will be; None when that cannot be said now."""


class TakingBack:
    """Of one KME."""

    def __init__(
        self,
        home: Callable[[SaeId], KmeId | None],
        peers: Mapping[KmeId, Peer],
        records: RecordBook,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._home = home
        self._peers = peers
        self._records = records
        self._journal = journal
        self._clock = clock

    def take_back(self, source: KmeId, keys: Keys, took: Took) -> None:
        """`source` is the KME that asks for it, for a master of its own; what is another's stays."""
        if self._home(keys.master) != source:
            took(b"")
            return
        try:
            check_not_doubted(self._peers)
            through = gates(self._peers, source)
        except Unavailable:  # another node that claims to be this one may give out what we void
            took(None)
            return

        def take() -> None:
            try:
                gone = self._take(source, keys)
            except StoreFailure:
                took(None)
            else:
                took(gone)

        enter(through, take, lambda _peer: took(None))

    def _take(self, source: KmeId, keys: Keys) -> bytes:
        ids, who = keys.ids, {"master": keys.master, "slaves": " ".join(keys.slaves)}
        each = [ids[at : at + KEY_ID_BYTES] for at in range(0, len(ids), KEY_ID_BYTES)]
        gone = b"".join([key_id for key_id in each if self._void(source, keys, key_id)])
        if gone:
            self._journal.record(event_record("keys voided", **who, ids=gone.hex()))
        return gone

    def _void(self, source: KmeId, keys: Keys, key_id: bytes) -> bool:
        if self._records.void(key_id, keys.master, keys.slaves, spare_fetched=keys.spare_fetched):
            return True
        if len(keys.slaves) > 1 or source not in self._peers:
            return False
        return self._void_in_stream(source, keys.master, keys.slaves[0], key_id)

    def _void_in_stream(self, source: KmeId, master: SaeId, slave: SaeId, key_id: bytes) -> bool:
        for pair in self._peers[source].pairs:
            place = pair.followed.find(key_id, master, slave, any_use(pair))
            if place is not None and pair.followed.has(place):
                pair.followed.void(place.epoch, place.located.position, place.located.end)
                self._records.endings.add(key_id, Ending(master, [slave], self._clock.wall()))
                return True
        return False
