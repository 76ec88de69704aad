"""dec_keys: the keys that a slave may have once, all of those it asks for or none.

What the IDs name is found first (`lookup`). Then everything is taken at once, and the answer waits for the journal.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

from keyhop.core.errors import KeyhopError, Unavailable
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook
from keyhop.network.pair import Pair
from keyhop.network.peer import Peer
from keyhop.service.audit import AuditedReplies, Handed, Handover
from keyhop.service.lookup import InRecord, InStream, Lookup, SentBefore
from keyhop.service.redelivery import Redelivery
from keyhop.service.requests import RECORD_SOURCE, GetKeyWithIds, KeyReply, KeyRun, Keys


class Claims:
    """Answers get_key_with_ids."""

    def __init__(
        self,
        me: KmeId,
        peers: Mapping[KmeId, Peer],
        records: RecordBook,
        redelivery: Redelivery,
        replies: AuditedReplies,
    ) -> None:
        self._me = me
        self._peers = peers
        check = self._check_not_doubted
        self._lookups: dict[tuple[Pair, ...], Lookup] = {
            pairs: Lookup([pair.followed for pair in pairs], records, redelivery, check)
            for peer in peers.values()
            for pairs in {peer.pairs, *((pair,) for pair in peer.pairs)}
        }
        self._records_only = Lookup((), records, redelivery, check)
        self._records = records
        self._redelivery = redelivery
        self._replies = replies

    def get_key_with_ids(self, request: GetKeyWithIds, source: KmeId, reply: KeyReply) -> None:
        """`source` is the master's KME. Raises Unavailable; otherwise replies."""
        gates = self._gates(source)
        lookup = self._lookups[gates] if source in self._peers else self._records_only
        for gate in gates:
            if not gate.windows.ready:
                raise _not_synchronised(gate.peer)

        def deliver() -> None:
            try:
                keys, handed = self._claim(request, source, lookup)
                self._replies.give(keys, handed, reply)
            except KeyhopError as error:
                reply(error)

        enter = deliver
        for gate in gates:
            enter = partial(gate.windows.enter, enter, partial(_late, gate.peer, reply))
        enter()

    def _gates(self, source: KmeId) -> tuple[Pair, ...]:
        """The pairs within whose windows keys of this KME are delivered: those of the streams that hold any.

        Records are of no stream; they and keys of this very KME go through one of some pair, so that they are covered.
        """
        peer = self._peers.get(source) or next(iter(self._peers.values()), None)
        if peer is None:
            return ()
        return tuple([pair for pair in peer.pairs if pair.followed.available_bytes]) or peer.pairs[:1]

    def _claim(self, request: GetKeyWithIds, source: KmeId, lookup: Lookup) -> tuple[Keys, Handed]:
        """Takes all keys or, with a KeyhopError, none. Says how each was handed over."""
        runs: list[KeyRun] = []
        sent_again: list[KeyRun] = []
        fresh: dict[str, list[KeyRun]] = {}
        at = 0
        for found in lookup.find(request):
            count = found.number if isinstance(found, InStream) else 1
            end = at + KEY_ID_BYTES * count
            ids = request.ids[at:end]
            at = end
            if isinstance(found, SentBefore):
                key = self._redelivery.take(request.master, request.slave, ids)
                runs.append(run := KeyRun(ids, len(key), key))
                sent_again.append(run)
            else:
                size, data, made_by = self._consume(found, request.slave)
                runs.append(run := KeyRun(ids, size, KeyMaterial(data)))
                fresh.setdefault(made_by, []).append(run)
        if self._redelivery.on:  # last, because it may push out what was sent before
            for run in chain.from_iterable(fresh.values()):
                self._redelivery.keep(request.master, request.slave, run)
        return Keys(tuple(runs), sent_before=len(sent_again)), self._handed(request, source, fresh, sent_again)

    def _check_not_doubted(self) -> None:
        """A record is of no stream, so no window keeps a copy of this node from delivering it too."""
        for peer in self._peers.values():
            if peer.doubted:
                raise _not_synchronised(peer.id)

    def _handed(
        self, request: GetKeyWithIds, source: KmeId, fresh: Mapping[str, list[KeyRun]], sent_again: list[KeyRun]
    ) -> Handed:
        path = (self._me,) if source == self._me else (source, self._me)
        who = (request.interface, request.slave, request.master, (request.slave,), path)
        handed: dict[Handover, Sequence[KeyRun]] = {
            Handover("dec_keys", *who, made_by): runs for made_by, runs in fresh.items()
        }
        if sent_again:
            handed[Handover("redelivery", *who, "memory")] = sent_again
        return handed

    def _consume(self, found: InStream | InRecord, slave: SaeId) -> tuple[int, bytes, str]:
        """The size of the keys, their bytes one after the other, and what made them."""
        if isinstance(found, InStream):
            data, age = found.stream.consume(found.place, "delivered", found.number)
            return found.place.located.size_bytes, data, age.source
        data = self._records.deliver(found.key_id, slave)
        return len(data), data, RECORD_SOURCE


def _not_synchronised(peer: KmeId) -> Unavailable:
    return Unavailable(f"not yet synchronised with KME {peer}", retry_after_s=1.0)


def _late(peer: KmeId, reply: KeyReply) -> None:
    reply(Unavailable(f"KME {peer} does not answer", retry_after_s=1.0))
