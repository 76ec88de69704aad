"""Fresh bytes for the next generation while no stream has any: one key that is relayed over other KMEs, as a record
would be when somebody asks for it."""

from collections.abc import Callable

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.feeder.planning import Routes, Terms, plan
from keyhop.network.relay.messages import PskPayload
from keyhop.network.relay.parcels import Done, Parcel, Plan

FETCH_S = 5.0
"""How long it may take."""

type Send = Callable[[Parcel, Plan, float, Done], None]
"""As the relay does."""


class Fetching:
    """Relays fresh bytes to other KMEs."""

    def __init__(self, me: KmeId, routes: Routes, terms: Callable[[KmeId], Terms], send: Send, clock: Clock) -> None:
        self._me = me
        self._routes = routes
        self._terms = terms
        self._send = send
        self._clock = clock

    def fetch(self, kme: KmeId, check: bytes, fresh: KeyMaterial, done: Done) -> None:
        """Calls `done` once that KME has the bytes, or with the reason why it has not."""
        terms = self._terms(kme)
        way = plan(self._routes, self._me, kme, terms, len(fresh))
        if isinstance(way, str):
            done(way)
        else:
            parcel = Parcel(kme, PskPayload(check), fresh, terms.priority)
            self._send(parcel, way, self._clock.monotonic() + FETCH_S, done)
