"""Records to another KME: under a pad of a stream to it, or, when no stream has one, relayed over other KMEs."""

from collections.abc import Callable, Mapping

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.core.units import units_for
from keyhop.network.carriage import Batch, Done
from keyhop.network.feeder.planning import Routes, Terms, blame, plan
from keyhop.network.peer import Peer
from keyhop.network.relay.messages import RecordsPayload
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.network.relay.relay import Relay

ATTEMPT_S = 0.8
"""How long the answer to one parcel is waited for before another path is tried."""
ATTEMPTS = 3


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

    def carry(self, kme: KmeId, batch: Batch, deadline: float, done: Done) -> None:
        """Calls `done` once that KME holds the batch durably, or with the reason why it does not."""
        pairs, saes = self._peers[kme].pairs, (batch.master, batch.slaves[0])
        for pair in pairs:
            if pair.leasing.entitled_units(saes) >= units_for(batch.pad_bytes):
                pair.carriage.carry(batch, deadline, done)
                return
        if isinstance(self._way(kme, batch), str):
            pairs[0].carriage.carry(batch, deadline, done)  # it may get its pad while it waits
        else:
            self._attempt(kme, batch, deadline, done, ATTEMPTS)

    def recall(self, kme: KmeId, ids: bytes) -> None:
        """Tells that KME to forget records that nobody was given."""
        self._peers[kme].relayed.carriage.recall(ids)

    def can_relay(self, kme: KmeId) -> bool:
        """Whether there is a way over other KMEs now."""
        return self._peers[kme].synchronised and not isinstance(self._plan(kme, 0), str)

    def _way(self, kme: KmeId, batch: Batch) -> Plan | str:
        return self._plan(kme, batch.pad_bytes)

    def _plan(self, kme: KmeId, size_bytes: int) -> Plan | str:
        return plan(self._routes, self._me, kme, self._terms(kme), size_bytes)

    def _attempt(self, kme: KmeId, batch: Batch, deadline: float, done: Done, attempts: int) -> None:
        way = self._way(kme, batch)
        if isinstance(way, str):
            done(way)
            return
        payload = RecordsPayload(batch.master, batch.slaves, batch.ids)
        parcel = Parcel(kme, payload, batch.keys, self._terms(kme).priority)

        def answered(reason: str | None) -> None:
            if reason is not None:
                blame(self._routes, way, reason)
                if attempts > 1 and self._clock.monotonic() < deadline:
                    self._attempt(kme, batch, deadline, done, attempts - 1)
                    return
            done(reason)

        until = min(deadline, self._clock.monotonic() + ATTEMPT_S)
        self._relay.send(parcel, way, until, answered)
