"""Keys for several slaves, for a slave at this very KME, or for one in another domain; and keys that a master brings:
records.

The key bytes are this KME's own randomness, or the master's. The master has its answer once every slave can have them.
"""

from dataclasses import dataclass

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import BadRequest, Unavailable
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path
from keyhop.core.record_ids import record_ids
from keyhop.core.records import RecordBook, RecordSource
from keyhop.network.hybrid.records import RecordSecret
from keyhop.network.wire_types import MAX_RECORDS_PER_BATCH, MAX_SEALED_BYTES
from keyhop.service.audit import AuditedReplies, Handover
from keyhop.service.chosen_ids import take_chosen
from keyhop.service.copies import Copies
from keyhop.service.courier import Astray
from keyhop.service.making import no_secret
from keyhop.service.requests import (
    RECORD_SOURCE,
    SAE_SOURCE,
    GetKey,
    InsertedKeys,
    InsertKeys,
    InsertReply,
    KeyReply,
    KeyRun,
    Keys,
    Provenance,
)
from keyhop.service.slaves import Slaves
from keyhop.service.spreading import NO_ROOM, Spreading


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a master asks for; `size` is in bytes, `until` in monotonic seconds."""

    request: GetKey
    slaves: Slaves
    size: int
    number: int
    until: float
    reply: KeyReply
    expanded: bool


class Multicast:
    """Answers get_key with records, and makes records of inserted keys."""

    def __init__(
        self,
        me: KmeId,
        spreading: Spreading,
        records: RecordBook,
        replies: AuditedReplies,
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._me = me
        self._spreading = spreading
        self._records = records
        self._replies = replies
        self._journal = journal
        self._clock = clock
        self._entropy = entropy

    def get_key(
        self, request: GetKey, slaves: Slaves, size: int, number: int, reply: KeyReply, *, expanded: bool = False
    ) -> None:
        """`expanded`: under pads that a KDF makes. Raises BadRequest or Unavailable; otherwise replies."""
        slaves.check_source(RECORD_SOURCE, "a KME made")
        until = self._clock.monotonic() + slaves.wait_s
        self._make(_Wanted(request, slaves, size, number, until, reply, expanded), 0)

    def _make(self, wanted: _Wanted, earlier: int) -> None:
        """Draws keys; and others, under other IDs, when those went astray: then nodes may know them."""
        request, slaves = wanted.request, wanted.slaves
        copies = self._drawn(wanted, earlier)

        def spread(failure: str | None) -> None:
            if isinstance(failure, Astray) and self._journal.failure is None:
                try:
                    self._make(wanted, earlier + 1)
                except Unavailable as refusal:
                    wanted.reply(refusal)
                return
            if failure is not None:
                wanted.reply(Unavailable(failure, retry_after_s=1.0))
                return
            paths = self._paths(copies)
            provenance = Provenance(RECORD_SOURCE, paths, 0.0) if request.provenance else None
            run = KeyRun(copies.ids, wanted.size, copies.keys, "expanded" if wanted.expanded else slaves.combiner)
            given = Keys((run,), provenance)
            master, made_by = request.master, run.made_by(RECORD_SOURCE)
            handover = Handover("enc_keys", request.interface, master, master, tuple(slaves.homes), paths, made_by)
            self._replies.give(given, {handover: given.runs}, wanted.reply)

        self._spreading.spread(copies, wanted.until, spread)

    def _drawn(self, wanted: _Wanted, earlier: int) -> Copies:
        """Raises BadRequest and Unavailable. Into other domains, where one way takes long, all ways have the same."""
        master, slaves = wanted.request.master, wanted.slaves
        self._check(master, RECORD_SOURCE, slaves, wanted.size, wanted.number)
        ids = self._drawn_ids(wanted.number)
        keys = parts = KeyMaterial(self._entropy.token(wanted.size * wanted.number))
        combining = self._combining(slaves)
        if combining is not None:
            keys = KeyMaterial(combining.keys(master, ids, parts.reveal()))
        return Copies(
            master,
            slaves.homes,
            ids,
            ids,
            keys,
            RECORD_SOURCE,
            policies=slaves.policies,
            expanded=wanted.expanded,
            fresh=earlier if self._spreading.stay(slaves.homes) else None,
            combining=combining,
            parts=parts,
            objection=slaves.changed,
        )

    def insert_keys(self, request: InsertKeys, slaves: Slaves, reply: InsertReply) -> None:
        """Raises BadRequest or Unavailable; otherwise replies."""
        slaves.check_source(SAE_SOURCE, "an SAE made")
        size, number = slaves.size_bytes(8 * request.size_bytes), slaves.number(request.count)
        self._check(request.master, SAE_SOURCE, slaves, size, number)
        ids = request.ids or self._drawn_ids(number)
        kept_as = take_chosen(request.master, request.ids, self._records, self._clock.wall()) if request.ids else ids
        combining, parts = self._combining(slaves), request.keys
        if combining is not None:
            parts = self._parts(combining, request, kept_as)
        copies = Copies(
            request.master,
            slaves.homes,
            ids,
            kept_as,
            request.keys,
            SAE_SOURCE,
            policies=slaves.policies,
            combining=combining,
            parts=parts,
            objection=slaves.changed,
        )

        def spread(failure: str | None) -> None:
            if failure is not None:
                reply(Unavailable(failure, retry_after_s=1.0))
                return
            master, paths = request.master, self._paths(copies)
            run = KeyRun(ids, size, request.keys, slaves.combiner)
            made_by = run.made_by(SAE_SOURCE)
            handover = Handover("insert", request.interface, master, master, tuple(slaves.homes), paths, made_by)
            self._replies.taken_in(InsertedKeys(ids), {handover: (run,)}, reply)

        self._spreading.spread(copies, self._clock.monotonic() + slaves.wait_s, spread)

    def _check(self, master: SaeId, made_by: RecordSource, slaves: Slaves, size: int, number: int) -> None:
        if number > MAX_RECORDS_PER_BATCH or size * number > MAX_SEALED_BYTES:
            most = min(MAX_RECORDS_PER_BATCH, MAX_SEALED_BYTES // size)
            raise BadRequest(f"at most {most} such keys can be multicast in one request")
        if not self._records.has_room(master, made_by, number):
            raise Unavailable(NO_ROOM, retry_after_s=1.0)
        missing = self._spreading.missing(slaves.homes)
        if missing is not None:
            raise Unavailable(f"KME {missing} is not connected", retry_after_s=1.0)

    def _combining(self, slaves: Slaves) -> RecordSecret | None:
        """Raises Unavailable while there is no ML-KEM secret for a KME."""
        if slaves.combiner is None:
            return None
        lacking = self._spreading.not_agreed(slaves.homes)
        if lacking is not None:
            raise no_secret(lacking)
        return RecordSecret.drawn(slaves.combiner, self._entropy)

    def _parts(self, combining: RecordSecret, request: InsertKeys, ids: bytes) -> KeyMaterial:
        """Of the master's own keys."""
        try:
            return KeyMaterial(combining.parts(request.master, ids, request.keys.reveal()))
        except ValueError:
            slave = request.slave
            reason = f"for SAE {slave} a KDF makes keys out of ML-KEM and others, so none can be brought"
            raise BadRequest(reason) from None

    def _drawn_ids(self, number: int) -> bytes:
        return record_ids(self._entropy.token(KEY_ID_BYTES * number))

    def _paths(self, copies: Copies) -> tuple[Path, ...]:
        return tuple(sorted(copies.crossed)) or ((self._me,),)
