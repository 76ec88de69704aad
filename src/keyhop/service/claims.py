"""dec_keys: the keys that a slave may have once, all of those it asks for or none.

What the IDs name is found first (`lookup`). Then everything is taken at once, and the answer waits for the journal.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.errors import KeyhopError, Unavailable
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path
from keyhop.core.record_ids import kept_as
from keyhop.core.records import RecordBook
from keyhop.network.pair import Pair
from keyhop.network.peer import Peer
from keyhop.service.audit import AuditedReplies, Call, Handed, Handover
from keyhop.service.crossing import Crossing
from keyhop.service.gates import check_not_doubted, enter, gates
from keyhop.service.lookup import Found, InRecord, InStream, Lookup
from keyhop.service.making import Remaking, remaking
from keyhop.service.origins import by_origin
from keyhop.service.policy import PairPolicy
from keyhop.service.redelivery import Redelivery
from keyhop.service.requests import GetKeyWithIds, KeyReply, KeyRun, Keys, Mark
from keyhop.service.vetting import check


class Claims:
    """Answers get_key_with_ids."""

    def __init__(
        self,
        me: KmeId,
        peers: Mapping[KmeId, Peer],
        records: RecordBook,
        redelivery: Redelivery,
        replies: AuditedReplies,
        crossing: Crossing,
        clock: Clock,
    ) -> None:
        """Keys of masters of another domain (`crossing`) are records with IDs of that domain."""
        self._me = me
        self._crossing = crossing
        self._peers = peers
        check = partial(check_not_doubted, peers)
        self._lookups: dict[tuple[Pair, ...], Lookup] = {
            pairs: Lookup([pair.followed for pair in pairs], records, redelivery, check)
            for peer in peers.values()
            for pairs in {peer.pairs, *((pair,) for pair in peer.pairs)}
        }
        self._records_only = Lookup((), records, redelivery, check)
        self._foreign_only = Lookup((), records, redelivery, check, foreign=True)
        self._records = records
        self._redelivery = redelivery
        self._replies = replies
        self._clock = clock

    def get_key_with_ids(
        self, request: GetKeyWithIds, source: KmeId, policy: Callable[[], PairPolicy], reply: KeyReply
    ) -> None:
        """`source` is the master's KME; `policy` gives the pair's, which counts as it is when a window lets them in.

        Raises Unavailable; else replies.
        """
        are_new = source not in self._peers and self._are_new(request)
        through = gates(self._peers, source, are_new=are_new)
        lookup = self._lookup(request.master, source, through)
        deliver = partial(self._deliver, request, source, policy, lookup, reply)
        enter(through, deliver, lambda peer: deliver() if are_new else _late(reply, peer))

    def _are_new(self, request: GetKeyWithIds) -> bool:
        """Then it is nobody else's affair, if it is not in doubt who this KME is."""
        foreign = self._crossing.foreign(request.master)
        return self._records.are_new(kept_as(request.master, each, foreign=foreign) for each in request.key_ids)

    def _lookup(self, master: SaeId, source: KmeId, through: tuple[Pair, ...]) -> Lookup:
        if self._crossing.foreign(master):
            return self._foreign_only
        return self._lookups[through] if source in self._peers else self._records_only

    def _deliver(
        self,
        request: GetKeyWithIds,
        source: KmeId,
        policy: Callable[[], PairPolicy],
        lookup: Lookup,
        reply: KeyReply,
    ) -> None:
        try:
            keys, handed = self._claim(request, source, policy(), lookup)
            self._replies.give(keys, handed, reply)
        except KeyhopError as error:
            reply(error)

    def _claim(self, request: GetKeyWithIds, source: KmeId, policy: PairPolicy, lookup: Lookup) -> tuple[Keys, Handed]:
        """Takes all keys or, with a KeyhopError, none. Says how each was handed over."""
        self._crossing.check_arrival(request.master, request.slave, policy)
        peer = self._peers.get(source)
        maker = remaking(peer.pairs if peer else (), policy)
        all_found = lookup.find(request, maker.uses)
        check(all_found, policy, self._records, self._clock)
        runs: list[KeyRun] = []
        handed: dict[Handover, list[KeyRun]] = {}
        at = 0
        for found in all_found:
            ids = request.ids[at : at + KEY_ID_BYTES * found.number]
            at += len(ids)
            for how, run in self._take(request, found, ids, maker):
                runs.append(run)
                handed.setdefault(how, []).append(run)
        if not self._redelivery.on:
            return Keys(tuple(runs)), handed
        again = 0
        for how, taken in handed.items():
            if how.call == "redelivery":
                again += len(taken)
                continue
            for run in taken:  # last, because it may push out what was sent before
                self._redelivery.keep(request.master, request.slave, run)
        return Keys(tuple(runs), sent_before=again), handed

    def _take(
        self, request: GetKeyWithIds, found: Found, ids: bytes, maker: Remaking
    ) -> Sequence[tuple[Handover, KeyRun]]:
        """Keys that were found, out of where they are, and how they are handed over."""
        master, slave = request.master, request.slave
        if isinstance(found, InStream):
            run, ages = maker.take(found, master, slave, ids)
            parts = by_origin(run, found.place.located.position, ages, found.stream.ref)
            made_by = run.made_by
            return [(self._handover(request, "dec_keys", o.paths, made_by(o.source)), keys) for o, keys in parts]
        if isinstance(found, InRecord):
            record = self._records.origin(found.record_id)
            paths = record.paths or ((self._me,),)
            mark: Mark | None = "expanded" if record.expanded else record.combiner
            data = self._records.deliver(found.record_id, slave)
            run = KeyRun(ids, len(data), KeyMaterial(data), mark)
            return [(self._handover(request, "dec_keys", paths, run.made_by(record.source)), run)]
        run = self._redelivery.take(master, slave, found.key_id)
        return [(self._handover(request, "redelivery", (), "memory"), run)]

    def _handover(self, request: GetKeyWithIds, call: Call, paths: tuple[Path, ...], made_by: str) -> Handover:
        return Handover(call, request.interface, request.slave, request.master, (request.slave,), paths, made_by)


def _late(reply: KeyReply, peer: KmeId) -> None:
    reply(Unavailable(f"KME {peer} does not answer", retry_after_s=1.0))
