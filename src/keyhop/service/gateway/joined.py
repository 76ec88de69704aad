"""The other domains that this very KME is joined to, and what leaves for them.

Records from another KME of this domain are answered only once the other KMS says `relayed`: so no master sees a key
that its slave could not have.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId, SaeId, each_id
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.record_ids import kept_as
from keyhop.core.records import RecordBook, RecordOrigin
from keyhop.core.store.base import KeyStore
from keyhop.network.exports import Exported, Passed
from keyhop.service.abroad import Spreaded
from keyhop.service.copies import Copies
from keyhop.service.etsi020.calls import Call
from keyhop.service.etsi020.interchange import Interchange, Other
from keyhop.service.etsi020.transfer import Saes, Transfer, Voided
from keyhop.service.foreign import ForeignSaes
from keyhop.service.gateway.admitting import Admitting
from keyhop.service.gateway.importing import Importing
from keyhop.service.recall import Recall
from keyhop.service.spreading import Spreading

EXPORT_S = 65.0
"""How long another KMS may take with keys from another KME of this domain, which recalls them as soon as its master
waits no longer: longer than any policy lets one wait."""

MAX_WAITING = 32
"""How often another KME may ask for the same."""

type MakeCall = Callable[[KmeId, Call], None]


@dataclass(frozen=True, slots=True)
class Joint:
    """Another KMS, and the IDs or patterns of the SAEs behind it."""

    other: Other
    saes: tuple[str, ...]


class Gateway:
    """`network.exports.Exports` and `spreading.Abroad`: the way out. Without joints it leads nowhere."""

    def __init__(
        self,
        me: KmeId,
        joints: Iterable[Joint],
        home: Callable[[SaeId], KmeId | None],
        foreign: Callable[[SaeId], bool],
        clock: Clock,
        make: MakeCall,
    ) -> None:
        """`foreign` tells which SAEs are of another domain; `make` calls another KMS."""
        self._me = me
        self._joints = tuple(joints)
        self._ways = ForeignSaes((name, joint.other.id) for joint in self._joints for name in joint.saes)
        self._home = home
        self._foreign = foreign
        self._clock = clock
        self._make = make
        self._under_way: dict[tuple[SaeId, bytes], list[Passed]] = {}
        """By the master and the batch of the records: those who wait."""
        self._interchanges: dict[KmeId, Interchange] = {}
        self._spreading: Spreading
        self._records: RecordBook

    def open(
        self,
        spreading: Spreading,
        recall: Recall,
        admitting: Admitting,
        store: KeyStore,
        journal: Journal,
        records: RecordBook,
    ) -> None:
        """Once, when the domain is there."""
        self._spreading, self._records = spreading, records
        for joint in self._joints:
            kms = joint.other.id
            domain = Importing(
                kms, self._me, self._home, self._foreign, admitting, records, self._clock, self, spreading, recall
            )

            def make(call: Call, kms: KmeId = kms) -> None:
                self._make(kms, call)

            self._interchanges[kms] = Interchange(joint.other, domain, store, journal, self._clock, make)

    def __iter__(self) -> Iterator[Interchange]:
        return iter(self._interchanges.values())

    def __getitem__(self, kms: KmeId) -> Interchange:
        return self._interchanges[kms]

    def resume(self) -> None:
        """Once, before anything is used."""
        for interchange in self:
            interchange.resume()

    def tick(self) -> None:
        """Time has passed. Raises StoreFailure."""
        for interchange in self:
            interchange.tick()

    def abandon(self) -> None:
        """The store has failed: nobody waits any longer."""
        for interchange in self:
            interchange.sending.abandon()

    def leads_to(self, slave: SaeId) -> KmeId | None:
        """The KMS that is joined to this very KME and has that SAE."""
        return self._ways.way_to(slave) if self._foreign(slave) else None

    def send(
        self, kms: KmeId, copies: Copies, slaves: tuple[SaeId, ...], batch: bytes, deadline: float, done: Spreaded
    ) -> None:
        """Hands keys of a batch over to another KMS. One that is known not to answer gets none until it does."""
        if self._interchanges[kms].reachable is False:
            done("it does not answer")
            return
        transfer = Transfer(
            Saes(copies.master, slaves),
            tuple(each_id(copies.ids)),
            tuple(copies.keys.each(copies.number)),
            copies.optional,
            copies.key_optional,
            batch,
        )
        self._interchanges[kms].sending.send(transfer, deadline, done)

    def take_back(self, kms: KmeId, master: SaeId, ids: bytes, batch: bytes = b"") -> None:
        """Nobody was given these keys of a master; with a batch, as far as they were handed over as those of that."""
        self._interchanges[kms].recalling.recall(self._sent(kms, master, each_id(ids), batch))

    def void(self, kms: KmeId, saes: Saes, ids: tuple[bytes, ...], batch: bytes, deadline: float, done: Voided) -> None:
        """Takes keys back that somebody may have been given; with a batch, only those of that."""
        self._interchanges[kms].recalling.void(saes, self._sent(kms, saes.initiator, ids, batch), deadline, done)

    def concern(self, slaves: Iterable[str]) -> bool:
        """Whether one of them is of another domain."""
        return any(self._foreign(SaeId(slave)) for slave in slaves)

    def kept_as(self, master: SaeId, key_id: bytes) -> bytes:
        """Under which ID SAEs of this KME find a key that is passed on under this one as well."""
        return kept_as(master, key_id, foreign=self._foreign(master))

    def outcome(self, master: SaeId, slaves: Iterable[str], ids: bytes, batch: bytes) -> Exported:
        """What is known of records that another KME wants to have passed on, by their batch: an ID may come again."""
        if (master, batch) in self._under_way:
            return "under way"
        ways = {self.leads_to(SaeId(slave)) for slave in slaves}
        sent = [self._interchanges[kms].sent for kms in ways if kms is not None]
        entries = [memory.get(key_id) for memory in sent for key_id in each_id(ids)]
        if not any(entries):
            return "new"
        same = [entry for entry in entries if entry and (entry.initiator, entry.mark) == (master, batch)]
        if len(same) < len(entries):
            return "others"
        kept = (self.kept_as(master, key_id) for key_id in each_id(ids))
        ours_have_them = None not in ways or all(key_id in self._records for key_id in kept)
        return "yes" if ours_have_them and all(entry.fate == "relayed" for entry in same) else "no"

    def export(
        self,
        slaves: tuple[SaeId, ...],
        ids: bytes,
        keys: KeyMaterial,
        origin: RecordOrigin,
        done: Passed,
    ) -> None:
        """Passes records of another KME of this domain on; SAEs of this KME may be among the slaves."""
        master = origin.master
        self._under_way[master, origin.batch] = [done]

        def spread(failure: str | None) -> None:
            for waiting in self._under_way.pop((master, origin.batch)):
                waiting(failure)

        kept_as = b"".join(self.kept_as(master, key_id) for key_id in each_id(ids))
        copies = Copies(master, dict.fromkeys(slaves, self._me), ids, kept_as, keys, origin.source, came=origin)
        self._spreading.spread(copies, self._clock.monotonic() + EXPORT_S, spread)

    def join(self, master: SaeId, batch: bytes, done: Passed) -> None:
        """It was asked for again before it was answered."""
        if len(self._under_way[master, batch]) < MAX_WAITING:
            self._under_way[master, batch].append(done)

    def _sent(self, kms: KmeId, master: SaeId, ids: Iterable[bytes], batch: bytes) -> tuple[bytes, ...]:
        """Those of a master's keys that were handed over, in that batch or, with none, in any."""
        found = ((key_id, self._interchanges[kms].sent.get(key_id)) for key_id in ids)
        return tuple(k for k, entry in found if entry and entry.initiator == master and batch in (b"", entry.mark))
