"""Keys for several slaves, for a slave at this very KME, or for one in another domain; and keys that a master brings:
records.

The key bytes are this KME's own randomness, or the master's. The master has its answer once every slave can have them.
"""

from keyhop.core.clock import Clock
from keyhop.core.endings import Ending
from keyhop.core.entropy import Entropy
from keyhop.core.errors import BadRequest, Unavailable
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId, key_id_text
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path
from keyhop.core.record_ids import chosen_record_id, is_chosen, record_ids
from keyhop.core.records import RecordBook
from keyhop.network.hybrid.records import RecordSecret
from keyhop.network.wire_types import MAX_RECORDS_PER_BATCH, MAX_SEALED_BYTES
from keyhop.service.audit import AuditedReplies, Handover
from keyhop.service.copies import Copies
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
    Mark,
    Provenance,
)
from keyhop.service.slaves import Slaves
from keyhop.service.spreading import NO_ROOM, Spreading


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
        self._check(request.master, slaves, size, number)
        ids = self._drawn_ids(number)
        keys = parts = KeyMaterial(self._entropy.token(size * number))
        combining = self._combining(slaves)
        if combining is not None:
            keys = KeyMaterial(combining.keys(request.master, ids, parts.reveal()))
        copies = Copies(
            request.master,
            slaves.homes,
            ids,
            ids,
            keys,
            RECORD_SOURCE,
            policies=slaves.policies,
            expanded=expanded,
            combining=combining,
            parts=parts,
        )
        mark: Mark | None = "expanded" if expanded else slaves.combiner

        def spread(failure: str | None) -> None:
            if failure is not None:
                reply(Unavailable(failure, retry_after_s=1.0))
                return
            paths = self._paths(copies)
            provenance = Provenance(RECORD_SOURCE, paths, 0.0) if request.provenance else None
            run = KeyRun(ids, size, keys, mark)
            given = Keys((run,), provenance)
            master, made_by = request.master, run.made_by(RECORD_SOURCE)
            handover = Handover("enc_keys", request.interface, master, master, tuple(slaves.homes), paths, made_by)
            self._replies.give(given, {handover: given.runs}, reply)

        self._spreading.spread(copies, self._clock.monotonic() + slaves.wait_s, spread)

    def insert_keys(self, request: InsertKeys, slaves: Slaves, reply: InsertReply) -> None:
        """Raises BadRequest or Unavailable; otherwise replies."""
        slaves.check_source(SAE_SOURCE, "an SAE made")
        size, number = slaves.size_bytes(8 * request.size_bytes), slaves.number(request.count)
        self._check(request.master, slaves, size, number)
        ids = request.ids or self._drawn_ids(number)
        kept_as = self._kept_as(request) if request.ids else ids
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

    def _check(self, master: SaeId, slaves: Slaves, size: int, number: int) -> None:
        if number > MAX_RECORDS_PER_BATCH or size * number > MAX_SEALED_BYTES:
            most = min(MAX_RECORDS_PER_BATCH, MAX_SEALED_BYTES // size)
            raise BadRequest(f"at most {most} such keys can be multicast in one request")
        if not self._records.has_room(master, number):
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

    def _kept_as(self, request: InsertKeys) -> bytes:
        """The IDs of records for keys whose IDs the master chose; it has used each of them from now on."""
        chosen = [request.ids[at : at + KEY_ID_BYTES] for at in range(0, len(request.ids), KEY_ID_BYTES)]
        if not all(map(is_chosen, chosen)):
            raise BadRequest("a key_ID of your own shall be a UUID of version 1, 2, 3, 5, 6 or 7")
        if len(set(chosen)) != len(chosen):
            raise BadRequest("the same key_ID is given twice")
        kept_as = {chosen_record_id(request.master, key_id): key_id for key_id in chosen}
        used = tuple({"key_ID": key_id_text(key_id)} for kept, key_id in kept_as.items() if self._records.knows(kept))
        if used:
            raise BadRequest("one or more key_IDs have been used before", details=used)
        for kept in kept_as:
            self._records.endings.add(kept, Ending(request.master, [], self._clock.wall()))
        return b"".join(kept_as)

    def _paths(self, copies: Copies) -> tuple[Path, ...]:
        return tuple(sorted(copies.crossed)) or ((self._me,),)
