"""Keys for several slaves, or for a slave at this very KME: records.

The key bytes are this KME's own randomness. Every other KME concerned gets its records under a one-time pad; the
master gets the keys once all of them, and this KME, hold them durably. If one cannot, all are recalled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import BadRequest, Unavailable
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook, record_ids
from keyhop.network.carriage import Batch
from keyhop.network.peer import Peer
from keyhop.network.wire_types import MAX_RECORDS_PER_BATCH, MAX_SEALED_BYTES
from keyhop.service.audit import AuditedReplies, Handover
from keyhop.service.courier import Courier
from keyhop.service.requests import RECORD_SOURCE, GetKey, KeyReply, KeyRun, Keys, Provenance


@dataclass(slots=True)
class _Call:
    """One request on its way to several KMEs."""

    ids: bytes
    keys: KeyMaterial
    waiting: set[KmeId]
    asked: set[KmeId] = field(default_factory=set)
    failed: bool = False


class Multicast:
    """Answers get_key with records."""

    def __init__(
        self,
        me: KmeId,
        peers: Mapping[KmeId, Peer],
        courier: Courier,
        records: RecordBook,
        replies: AuditedReplies,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._me = me
        self._peers = peers
        self._courier = courier
        self._records = records
        self._replies = replies
        self._clock = clock
        self._entropy = entropy

    def get_key(
        self,
        request: GetKey,
        homes: Mapping[SaeId, KmeId],
        size: int,
        number: int,
        deadline: float,
        reply: KeyReply,
    ) -> None:
        """Raises BadRequest or Unavailable; otherwise replies."""
        if number > MAX_RECORDS_PER_BATCH or size * number > MAX_SEALED_BYTES:
            most = min(MAX_RECORDS_PER_BATCH, MAX_SEALED_BYTES // size)
            raise BadRequest(f"at most {most} such keys can be multicast in one request")
        if not self._records.has_room(request.master, number):
            raise _no_room()
        remote = sorted(set(homes.values()) - {self._me})  # in the same order wherever a simulation runs
        for kme in remote:
            if kme not in self._peers or not self._peers[kme].synchronised:
                raise Unavailable(f"KME {kme} is not connected", retry_after_s=1.0)
        ids = record_ids(self._entropy.token(KEY_ID_BYTES * number))
        call = _Call(ids, KeyMaterial(self._entropy.token(size * number)), set(remote))
        now = self._clock.wall()

        def finish() -> None:
            local = tuple(slave for slave, kme in homes.items() if kme == self._me)
            if local and not self._records.has_room(request.master, number):  # others came since the request
                reply(_no_room())
                self._recall(call)
                return
            if local:
                self._keep(call, size, request.master, local, now)
            path = (self._me, *remote)
            provenance = Provenance(RECORD_SOURCE, path, 0.0) if request.provenance else None
            keys = Keys((KeyRun(ids, size, call.keys),), provenance)
            master, slaves = request.master, tuple(homes)
            handover = Handover("enc_keys", request.interface, master, master, slaves, path, RECORD_SOURCE)
            self._replies.give(keys, {handover: keys.runs}, reply)

        def arrived(kme: KmeId, failure: str | None) -> None:
            call.waiting.discard(kme)
            call.asked.add(kme)  # it may hold its copy although its answer is late
            if failure is not None and not call.failed:
                call.failed = True
                reply(Unavailable(f"KME {kme} has no copy: {failure}", retry_after_s=1.0))
            if call.failed:
                self._recall(call)
            elif not call.waiting:
                finish()

        if not remote:
            finish()
        for kme in remote:
            slaves = tuple(slave for slave, home in homes.items() if home == kme)
            batch = Batch(self._entropy.token(KEY_ID_BYTES), request.master, slaves, ids, call.keys)
            self._courier.carry(kme, batch, deadline, partial(arrived, kme))

    def _keep(self, call: _Call, size: int, master: SaeId, slaves: tuple[SaeId, ...], now: float) -> None:
        keys = call.keys.reveal()
        for i in range(len(call.ids) // KEY_ID_BYTES):
            key_id = call.ids[KEY_ID_BYTES * i : KEY_ID_BYTES * (i + 1)]
            self._records.add(key_id, KeyMaterial(keys[size * i : size * (i + 1)]), master, slaves, now)

    def _recall(self, call: _Call) -> None:
        for kme in sorted(call.asked):  # in the same order wherever a simulation runs
            self._courier.recall(kme, call.ids)
        call.asked.clear()


def _no_room() -> Unavailable:
    return Unavailable("too many keys wait to be fetched", retry_after_s=1.0)
