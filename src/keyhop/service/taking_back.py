"""Keys that their masters void, at the KME of their slaves, or at the one that leads to their domains.

What a slave has fetched it has; all else it will never get. A key is voided within a delivery window, as it is given
out, and durably before the answer: nobody who comes back from an old copy of the store gives it out unnoticed.
"""

from collections.abc import Callable, Mapping

from keyhop.core.audit import event_record
from keyhop.core.clock import Clock
from keyhop.core.endings import Ending
from keyhop.core.errors import StoreFailure, Unavailable
from keyhop.core.ids import KmeId, SaeId, each_id
from keyhop.core.journal import Journal
from keyhop.core.records import RecordBook
from keyhop.network.peer import Peer
from keyhop.network.reclaiming import Keys
from keyhop.service.abroad import Abroad
from keyhop.service.etsi020.transfer import Saes, Voided
from keyhop.service.gates import check_not_doubted, enter, gates
from keyhop.service.homes import by_kme
from keyhop.service.making import any_use

BEYOND_S = 4.0
"""How long another domain may take to say it. Whoever asks waits a little longer, and asks again."""

type Took = Callable[[bytes | None], None]
"""Gets the IDs of those keys that none of the slaves was given, and none will be; None when that cannot be said now."""


class TakingBack:
    """Of one KME."""

    def __init__(
        self,
        home: Callable[[SaeId], KmeId | None],
        peers: Mapping[KmeId, Peer],
        records: RecordBook,
        abroad: Abroad,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._home = home
        self._abroad = abroad
        self._peers = peers
        self._records = records
        self._journal = journal
        self._clock = clock

    def take_back(self, source: KmeId, keys: Keys, took: Took) -> None:
        """`source` is the KME that asks for it, for a master of its own; what is another's stays."""
        if self._home(keys.master) != source:
            took(b"")
            return
        ways = {slave: self._abroad.leads_to(slave) for slave in keys.slaves}
        beyond = by_kme({slave: kms for slave, kms in ways.items() if kms is not None})
        here = tuple(slave for slave, kms in ways.items() if kms is None)
        each = tuple(each_id(keys.ids))
        together = _Together(each, len(beyond) + bool(here), took)
        deadline = self._clock.monotonic() + BEYOND_S
        for kms, slaves in beyond.items():
            try:
                self._abroad.void(kms, Saes(keys.master, slaves), each, keys.batch, deadline, together.told)
            except StoreFailure:
                together.told(None)
        if here:
            self._take_back_here(source, keys._replace(slaves=here), together.told)

    def _take_back_here(self, source: KmeId, keys: Keys, told: Voided) -> None:
        try:
            check_not_doubted(self._peers)
            through = gates(self._peers, source, are_new=source not in self._peers and self._are_new(keys))
        except Unavailable:  # another node that claims to be this one may give out what we void
            told(None)
            return

        def take() -> None:
            try:
                gone = self._take(source, keys)
            except StoreFailure:
                told(None)
            else:
                told(gone)

        enter(through, take, lambda _peer: told(None))

    def _take(self, source: KmeId, keys: Keys) -> frozenset[bytes]:
        who = {"master": keys.master, "slaves": " ".join(keys.slaves)}
        ids = [key_id for key_id in each_id(keys.ids) if not keys.batch or self._came_in(keys, key_id)]
        before = {key_id for key_id in ids if self._is_void(keys, key_id)}
        gone = [key_id for key_id in ids if key_id not in before and self._void(source, keys, key_id)]
        if gone:  # what was so before is in the audit log, however often it is asked for
            self._journal.record(event_record("keys voided", **who, ids=b"".join(gone).hex()))
        return frozenset(before.union(gone))

    def _are_new(self, keys: Keys) -> bool:
        return self._records.are_new(self._abroad.kept_as(keys.master, key_id) for key_id in each_id(keys.ids))

    def _came_in(self, keys: Keys, key_id: bytes) -> bool:
        return self._records.came_in(keys.batch, self._abroad.kept_as(keys.master, key_id), keys.master)

    def _is_void(self, keys: Keys, key_id: bytes) -> bool:
        kept = self._abroad.kept_as(keys.master, key_id)
        return self._records.is_void(kept, keys.master, keys.slaves)

    def _void(self, source: KmeId, keys: Keys, key_id: bytes) -> bool:
        kept = self._abroad.kept_as(keys.master, key_id)
        if self._records.void(kept, keys.master, keys.slaves, spare_fetched=keys.spare_fetched):
            return True
        if len(keys.slaves) > 1 or source not in self._peers:
            return False
        return self._void_in_stream(source, keys.master, keys.slaves[0], key_id)

    def _void_in_stream(self, source: KmeId, master: SaeId, slave: SaeId, key_id: bytes) -> bool:
        for pair in self._peers[source].pairs:
            place = pair.followed.find(key_id, master, slave, any_use(pair))
            if place is not None:
                pair.followed.void(place.epoch, place.located.position, place.located.end)
                self._records.endings.add(key_id, Ending(master, [slave], self._clock.wall()))
                return True
        return False


class _Together:
    """What is gone everywhere, once everybody has said so."""

    def __init__(self, ids: tuple[bytes, ...], count: int, took: Took) -> None:
        self._ids = ids
        self._gone = frozenset(ids)
        self._count = count
        self._silent = False
        self._took = took

    def told(self, gone: frozenset[bytes] | None) -> None:
        """One has said it, or cannot."""
        self._count -= 1
        self._silent = self._silent or gone is None
        self._gone &= gone or frozenset()
        if not self._count:
            self._took(None if self._silent else b"".join(key_id for key_id in self._ids if key_id in self._gone))
