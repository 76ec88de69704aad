"""Keys for several slaves, for a slave at this very KME, or for one in another domain: records.

The key bytes are this KME's own randomness. The master gets the keys once every slave can have them.
"""

from collections.abc import Mapping

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import BadRequest, Unavailable
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook, record_ids
from keyhop.network.wire_types import MAX_RECORDS_PER_BATCH, MAX_SEALED_BYTES
from keyhop.service.audit import AuditedReplies, Handover
from keyhop.service.policy import PairPolicy
from keyhop.service.requests import RECORD_SOURCE, GetKey, KeyReply, KeyRun, Keys, Provenance
from keyhop.service.spreading import NO_ROOM, Copies, Spreading


class Multicast:
    """Answers get_key with records."""

    def __init__(
        self,
        me: KmeId,
        spreading: Spreading,
        records: RecordBook,
        replies: AuditedReplies,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._me = me
        self._spreading = spreading
        self._records = records
        self._replies = replies
        self._clock = clock
        self._entropy = entropy

    def get_key(
        self,
        request: GetKey,
        homes: Mapping[SaeId, KmeId],
        policies: Mapping[SaeId, PairPolicy],
        size: int,
        number: int,
        deadline: float,
        reply: KeyReply,
        *,
        expanded: bool = False,
    ) -> None:
        """`expanded`: under pads that a KDF makes. Raises BadRequest or Unavailable; otherwise replies."""
        for slave, policy in policies.items():
            if policy.sources is not None and RECORD_SOURCE not in policy.sources:
                raise BadRequest(f"for SAE {slave} no key may be used that a KME made")
        if number > MAX_RECORDS_PER_BATCH or size * number > MAX_SEALED_BYTES:
            most = min(MAX_RECORDS_PER_BATCH, MAX_SEALED_BYTES // size)
            raise BadRequest(f"at most {most} such keys can be multicast in one request")
        if not self._records.has_room(request.master, number):
            raise Unavailable(NO_ROOM, retry_after_s=1.0)
        missing = self._spreading.missing(homes)
        if missing is not None:
            raise Unavailable(f"KME {missing} is not connected", retry_after_s=1.0)
        ids = record_ids(self._entropy.token(KEY_ID_BYTES * number))
        keys = KeyMaterial(self._entropy.token(size * number))

        copies = Copies(request.master, homes, ids, ids, keys, policies=policies, expanded=expanded)

        def spread(failure: str | None) -> None:
            if failure is not None:
                reply(Unavailable(failure, retry_after_s=1.0))
                return
            paths = tuple(sorted(copies.crossed)) or ((self._me,),)
            provenance = Provenance(RECORD_SOURCE, paths, 0.0) if request.provenance else None
            run = KeyRun(ids, size, keys, "expanded" if expanded else None)
            given = Keys((run,), provenance)
            master, slaves, made_by = request.master, tuple(homes), run.made_by(RECORD_SOURCE)
            handover = Handover("enc_keys", request.interface, master, master, slaves, paths, made_by)
            self._replies.give(given, {handover: given.runs}, reply)

        self._spreading.spread(copies, deadline, spread)
