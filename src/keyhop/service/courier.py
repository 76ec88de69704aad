"""Records to another KME: under a pad of a stream to it, or, when no stream has one, relayed over other KMEs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId, SaePair
from keyhop.core.priority import USUAL_PRIORITY
from keyhop.core.streams import Admission
from keyhop.core.units import units_for
from keyhop.network.arrivals import KeptOthers
from keyhop.network.carriage import Batch, Done
from keyhop.network.feeder.planning import Routes, Terms, plan
from keyhop.network.pair import Pair
from keyhop.network.peer import Peer
from keyhop.network.relay.messages import RecordsPayload
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.network.relay.relay import Relay

ATTEMPT_S = 0.8
"""How long the answer to one parcel is waited for before another path is tried."""
ATTEMPTS = 3
"""How many of them may fail. Those that are just late go on until the deadline, each twice as long as the one before:
who has passed the records on into another domain waits for it, and answers the last parcel for all of them."""


class Astray(str):
    """Why a batch did not arrive by the way that it took. Another one may do, with other keys."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Way:
    """By which ways a batch may travel. `relaying` is how it is relayed; None: as usual to that KME.

    `as_usual`: as is usual there, unless `relaying` is stricter. `expanded`: under a pad that is expanded from a seed,
    and no other. `priority` is that of the SAEs. Who makes `fresh` keys for each way, so that the nodes of those that
    were tried know nothing of what arrives, says how many came before; None: all ways have the same keys.
    """

    direct_only: bool = False
    relaying: Terms | None = None
    as_usual: bool = False
    expanded: bool = False
    priority: int = USUAL_PRIORITY
    fresh: int | None = None


class Courier:
    """Carries batches of records to all peers."""

    def __init__(
        self,
        me: KmeId,
        peers: Mapping[KmeId, Peer],
        routes: Routes,
        relay: Relay,
        terms: Callable[[KmeId], Terms],
        clock: Clock,
    ) -> None:
        """`terms` tells how keys may be relayed to a KME."""
        self._me = me
        self._peers = peers
        self._routes = routes
        self._relay = relay
        self._terms = terms
        self._clock = clock

    def carry(self, kme: KmeId, batch: Batch, way: Way, deadline: float, done: Done) -> None:
        """Calls `done` once that KME holds the batch durably, or with the reason why it does not."""
        pairs = self._pairs(kme, way)
        if not pairs:
            done("no link leads to it")
            return
        if way.expanded:
            able = (pair for pair in pairs if pair.carriage.expands(batch.admission))
            next(able, pairs[0]).carriage.carry_expanded(batch, deadline, done)
            return
        for pair in pairs:
            if _has_pad(pair, (batch.master, batch.slaves[0]), batch.pad_bytes, batch.admission):
                pair.carriage.carry(batch, deadline, done)
                return
        terms = self._relaying(kme, way)
        refused_when_dry = deadline <= self._clock.monotonic()
        barred = refused_when_dry or way.direct_only or not _admitted(terms, batch.admission)
        if barred or isinstance(self._plan(kme, terms, batch.pad_bytes), str):
            pairs[0].carriage.carry(batch, deadline, done)  # it may get its pad while it waits
        else:
            self._attempt(kme, batch, way, deadline, done, way.fresh or 0)

    def lacks(self, kme: KmeId, saes: SaePair, pad_bytes: int, admission: Admission | None, way: Way) -> str | None:
        """Why records that take so much of a stream could not leave now for that KME; None when they could."""
        pairs = self._pairs(kme, way)
        if not pairs:
            return "no link leads to it"
        if any(_has_pad(pair, saes, pad_bytes, admission) for pair in pairs):
            return None
        terms = self._relaying(kme, way)
        if way.direct_only or not _admitted(terms, admission):
            return "no key material is left for a pad that may be used"
        found = self._plan(kme, terms, pad_bytes)
        return found if isinstance(found, str) else None

    def may_relay(self, kme: KmeId, relaying: Terms | None, admission: Admission | None) -> bool:
        """Whether keys that go over other KMEs will do for who may only have such bytes."""
        return _admitted(relaying or self._terms(kme), admission)

    def obstacle(self, kme: KmeId, relaying: Terms | None) -> str | None:
        """Why there is no way over other KMEs now; None when there is one."""
        if not self._peers[kme].synchronised:
            return f"no connection to KME {kme}"
        way = self._plan(kme, relaying or self._terms(kme), 0)
        return way if isinstance(way, str) else None

    def spare_bytes(self, kme: KmeId, relaying: Terms | None) -> int:
        """What the scarcest link on the way over other KMEs has for keys of others now; 0 without a way."""
        way = self._plan(kme, relaying or self._terms(kme), 0)
        return 0 if isinstance(way, str) else min(map(self._routes.spare_bytes, way.paths))

    def _pairs(self, kme: KmeId, way: Way) -> Sequence[Pair]:
        peer = self._peers[kme]
        if not way.direct_only:
            return peer.pairs
        return () if peer.direct is None else (peer.direct,)

    def _relaying(self, kme: KmeId, way: Way) -> Terms:
        usual = self._terms(kme)
        terms = way.relaying or usual
        if way.as_usual:
            terms = max(usual, terms, key=lambda each: each.strictness)
        return replace(terms, priority=way.priority)

    def _plan(self, kme: KmeId, terms: Terms, size_bytes: int) -> Plan | str:
        return plan(self._routes, self._me, kme, terms, size_bytes)

    def _attempt(self, kme: KmeId, batch: Batch, way: Way, deadline: float, done: Done, earlier: int) -> None:
        terms = self._relaying(kme, way)
        found = self._plan(kme, terms, batch.pad_bytes)
        if isinstance(found, str):
            done(found)
            return
        batch.crossed.update(found.paths)
        payload = RecordsPayload(batch.batch, batch.made_by, batch.master, batch.slaves, batch.ids, batch.combined)
        parcel = Parcel(kme, payload, batch.keys, terms.priority)
        now, tried = self._clock.monotonic, earlier + 1
        until = min(deadline, now() + ATTEMPT_S * 2 ** max(0, tried - ATTEMPTS))

        def answered(reason: str | None) -> None:
            over = reason is None or isinstance(
                reason, KeptOthers
            )  # whose keys are there already knows them by any way
            if over or now() >= deadline or (tried >= ATTEMPTS and now() < until):
                done(reason)
            elif way.fresh is None:
                self._attempt(kme, batch, way, deadline, done, tried)
            else:
                done(Astray(reason))

        self._relay.send(parcel, found, until, answered)


def _admitted(terms: Terms, admission: Admission | None) -> bool:
    return admission is None or admission.admits_source(terms.source)


def _has_pad(pair: Pair, saes: SaePair, pad_bytes: int, admission: Admission | None) -> bool:
    units = units_for(pad_bytes)
    return pair.leasing.entitled_units(saes) >= units and pair.leasing.meets(admission, units)
