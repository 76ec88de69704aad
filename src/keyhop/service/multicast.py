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
from keyhop.network.wire_types import MAX_RECORDS_PER_BATCH, MAX_SEALED_BYTES
from keyhop.service.audit import AuditedReplies, Handover
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
from keyhop.service.spreading import NO_ROOM, Copies, Spreading


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
        keys = KeyMaterial(self._entropy.token(size * number))

        whom, policies = (request.master, slaves.homes), slaves.policies
        copies = Copies(*whom, ids, ids, keys, RECORD_SOURCE, policies=policies, expanded=expanded)

        def spread(failure: str | None) -> None:
            if failure is not None:
                reply(Unavailable(failure, retry_after_s=1.0))
                return
            paths = self._paths(copies)
            provenance = Provenance(RECORD_SOURCE, paths, 0.0) if request.provenance else None
            run = KeyRun(ids, size, keys, "expanded" if expanded else None)
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
        copies = Copies(request.master, slaves.homes, ids, kept_as, request.keys, SAE_SOURCE, policies=slaves.policies)

        def spread(failure: str | None) -> None:
            if failure is not None:
                reply(Unavailable(failure, retry_after_s=1.0))
                return
            master, paths = request.master, self._paths(copies)
            handover = Handover("insert", request.interface, master, master, tuple(slaves.homes), paths, SAE_SOURCE)
            run = KeyRun(ids, size, request.keys)
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
