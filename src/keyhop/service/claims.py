"""dec_keys: the keys that a slave may have once, all of those it asks for or none.

What the IDs name is found first (`lookup`). Then everything is taken at once, and the answer waits for the journal.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.errors import KeyhopError, Unavailable
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path
from keyhop.core.records import RecordBook
from keyhop.core.units import units_for
from keyhop.network.pair import Pair
from keyhop.network.peer import Peer
from keyhop.service.audit import AuditedReplies, Call, Handed, Handover
from keyhop.service.lookup import Found, InRecord, InStream, Lookup
from keyhop.service.making import Remaking, remaking
from keyhop.service.origins import by_origin
from keyhop.service.policy import PairPolicy
from keyhop.service.redelivery import Redelivery
from keyhop.service.requests import FOREIGN_SOURCE, RECORD_SOURCE, GetKeyWithIds, KeyReply, KeyRun, Keys, Mark
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
        foreign: Callable[[SaeId], bool],
        clock: Clock,
    ) -> None:
        """`foreign` tells which masters are of another domain: their keys are records with IDs of that domain."""
        self._me = me
        self._foreign = foreign
        self._peers = peers
        check = self._check_not_doubted
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

    def get_key_with_ids(self, request: GetKeyWithIds, source: KmeId, policy: PairPolicy, reply: KeyReply) -> None:
        """`source` is the master's KME; `policy` is the pair's. Raises Unavailable; otherwise replies.

        Keys of this very KME go through the gates of some peer, so that they are covered.
        """
        peer = self._peers.get(source) or next(iter(self._peers.values()), None)
        gates = peer.fetched_within if peer else ()
        lookup = self._lookup(request.master, source, gates)
        if peer and not all(pair.windows.ready for pair in peer.pairs):  # any of them may have been a gate before
            raise _not_synchronised(peer.id)

        def deliver() -> None:
            try:
                keys, handed = self._claim(request, source, policy, lookup)
                self._replies.give(keys, handed, reply)
            except KeyhopError as error:
                reply(error)

        enter = deliver
        if len(gates) > 1:
            for gate in gates:
                gate.windows.expect()  # so that those that are closed open at the same time
        for gate in gates:
            enter = partial(gate.windows.enter, enter, partial(_late, gate.peer, reply))
        enter()

    def _lookup(self, master: SaeId, source: KmeId, gates: tuple[Pair, ...]) -> Lookup:
        if self._foreign(master):
            return self._foreign_only
        return self._lookups[gates] if source in self._peers else self._records_only

    def _claim(self, request: GetKeyWithIds, source: KmeId, policy: PairPolicy, lookup: Lookup) -> tuple[Keys, Handed]:
        """Takes all keys or, with a KeyhopError, none. Says how each was handed over."""
        peer = self._peers.get(source)
        maker = remaking(peer.pairs if peer else (), policy)
        all_found = lookup.find(request, maker.uses)
        check(all_found, policy, self._records, self._made_by(request.master), self._clock.wall())
        runs: list[KeyRun] = []
        handed: dict[Handover, list[KeyRun]] = {}
        at = 0
        for found in all_found:
            ids = request.ids[at : at + KEY_ID_BYTES * found.number]
            at += len(ids)
            for how, run in self._take(request, found, ids, maker):
                runs.append(run)
                handed.setdefault(how, []).append(run)
        again = 0
        for how, taken in handed.items():
            if how.call == "redelivery":
                again += len(taken)
            elif self._redelivery.on:  # last, because it may push out what was sent before
                for run in taken:
                    self._redelivery.keep(request.master, request.slave, run)
        return Keys(tuple(runs), sent_before=again), handed

    def _take(
        self, request: GetKeyWithIds, found: Found, ids: bytes, maker: Remaking
    ) -> Iterator[tuple[Handover, KeyRun]]:
        """Keys that were found, out of where they are, and how they are handed over."""
        master, slave = request.master, request.slave
        if isinstance(found, InStream):
            run, ages = maker.take(found, master, slave, ids)
            located, link = found.place.located, found.stream.ref.ends
            for origin, keys in by_origin(run, located.position, units_for(located.size_bytes), ages, link):
                yield self._handover(request, "dec_keys", origin.paths, run.made_by(origin.source)), keys
        elif isinstance(found, InRecord):
            paths = self._records.paths(found.record_id) or ((self._me,),)
            mark: Mark | None = "expanded" if self._records.is_expanded(found.record_id) else None
            data = self._records.deliver(found.record_id, slave)
            run = KeyRun(ids, len(data), KeyMaterial(data), mark)
            yield self._handover(request, "dec_keys", paths, run.made_by(self._made_by(master))), run
        else:
            run = self._redelivery.take(master, slave, found.key_id)
            yield self._handover(request, "redelivery", (), "memory"), run

    def _made_by(self, master: SaeId) -> str:
        """The source of a master's records."""
        return FOREIGN_SOURCE if self._foreign(master) else RECORD_SOURCE

    def _handover(self, request: GetKeyWithIds, call: Call, paths: tuple[Path, ...], made_by: str) -> Handover:
        return Handover(call, request.interface, request.slave, request.master, (request.slave,), paths, made_by)

    def _check_not_doubted(self) -> None:
        """A record is of no stream, so no window keeps a copy of this node from delivering it too."""
        for peer in self._peers.values():
            if peer.doubted:
                raise _not_synchronised(peer.id)


def _not_synchronised(peer: KmeId) -> Unavailable:
    return Unavailable(f"not yet synchronised with KME {peer}", retry_after_s=1.0)


def _late(peer: KmeId, reply: KeyReply) -> None:
    reply(Unavailable(f"KME {peer} does not answer", retry_after_s=1.0))
