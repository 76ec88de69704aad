"""All relayed streams of a KME that it owns: what one lacks is made here, and relayed.

A stream is fed from its low mark on until it is at its high one. The pads of each link go to all flows in turn
(`relay.pads`), so streams that lack share scarce links, if none has much under way (`feed`). Streams of which nobody
asks anything come after others.

A path that fails is told to the routes, and the next parcel takes another at once; when that fails too, after a pause.
What is under way on a path that is known to be broken is not waited for, and what has not left yet takes no pads.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path
from keyhop.core.streams import Admission
from keyhop.network.feeder.fairness import jains_index
from keyhop.network.feeder.feed import Feed, UnderWay
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.feeder.planning import Routes, Terms, plan
from keyhop.network.feeder.water import Marks
from keyhop.network.peer import Peer
from keyhop.network.relay.messages import BlockPayload
from keyhop.network.relay.parcels import Done, Parcel, Plan, Withdraw
from keyhop.network.sealing import MAC_KEY_BYTES

PARCEL_S = 24.0
"""A block that has not arrived by then is given up: pads of scarce links are waited for."""


class Sends(Protocol):
    """The relay."""

    def send(self, parcel: Parcel, plan: Plan, deadline: float, done: Done) -> Withdraw:
        """Calls `done` once the destination has the parcel, or with the reason why it has not."""
        ...


class Feeder:
    """Feeds the relayed streams to all peers."""

    def __init__(
        self,
        me: KmeId,
        peers: Mapping[KmeId, Peer],
        routes: Routes,
        relay: Sends,
        terms: Callable[[KmeId], Terms],
        clock: Clock,
        entropy: Entropy,
        options: FeederOptions,
    ) -> None:
        """`terms` tells how keys may be relayed to a KME."""
        self._me = me
        self._routes = routes
        self._relay = relay
        self._terms = terms
        self._clock = clock
        self._entropy = entropy
        self.options = options
        self._feeds = {peer.id: Feed(peer) for peer in peers.values()}

    def give_up_weaker(self) -> None:
        """At the start, and when terms have changed: what came by weaker ways is not used."""
        for feed in self._feeds.values():
            feed.peer.relayed.give_up_weaker(self._terms(feed.peer.id).needed)

    def tick(self) -> None:
        """Time has passed: looks at all streams, those that run dry first before others of their priority."""
        hungry: list[Feed] = []
        for feed in self._feeds.values():
            if feed.give_up(self._is_broken):
                feed.failed("its path was cut", self._clock.monotonic())
            if self._may_rise(feed):
                hungry.append(feed)
        for feed in sorted(hungry, key=self._urgency):
            self._feed(feed)

    def kick(self, peer: KmeId, priority: int) -> None:
        """Somebody of that priority found its stream empty."""
        feed = self._feeds[peer]
        feed.asked(priority, self._clock.monotonic())
        if self._may_rise(feed):
            self._feed(feed)

    def is_feeding(self, peer: KmeId, admission: Admission | None = None) -> bool:
        """Whether its stream is being filled, with what will do: not while there are fewer paths than that takes."""
        terms = self._terms(peer)
        if isinstance(plan(self._routes, self._me, peer, terms, 0), str):
            return False
        if admission is not None and not admission.admits_source(terms.source):
            return False
        return self._feeds[peer].gets_some

    def trouble(self, peer: KmeId) -> str | None:
        """Why its stream is not fed, if it should be. That there is no way is said only as long as there is none."""
        feed = self._feeds[peer]
        if feed.stuck_bytes is None:
            return feed.trouble
        way = self._plan(feed, feed.stuck_bytes)
        return way if isinstance(way, str) else None

    def marks(self, peer: KmeId) -> Marks | None:
        """Between which its stream is kept; None while it is not fed."""
        feed = self._feeds[peer]
        return self._marks(feed) if self._is_wanted(feed.peer) else None

    def fairness(self) -> dict[int, float]:
        """Jain's index of each priority, over its streams, of what part of what was asked for was there."""
        parts: dict[int, list[float]] = {}
        for feed in self._feeds.values():
            part = feed.peer.relayed.meter.satisfied
            if part is not None:
                parts.setdefault(self._priority(feed), []).append(part)
        return {priority: jains_index(parts[priority]) for priority in sorted(parts)}

    def path_failed(self, path: Path, at: KmeId, reason: str) -> None:
        """A share that took this path went no further than a node, or may have gone no further."""
        if at in path[:-1]:
            self._routes.failed((at, path[path.index(at) + 1]), reason)

    def _urgency(self, feed: Feed) -> tuple[int, float]:
        low = self._marks(feed).low
        return -self._priority(feed), feed.stock / low if low else 0.0

    def _priority(self, feed: Feed) -> int:
        return feed.priority(self._terms(feed.peer.id).priority, self._clock.monotonic())

    def _marks(self, feed: Feed) -> Marks:
        return feed.marks(self.options.least_bytes, self.options.most_bytes)

    def _is_wanted(self, peer: Peer) -> bool:
        """Whether its relayed stream is to hold anything: not while links fill the direct one, however slowly: around
        them a key would cost several links."""
        works = peer.direct is not None and peer.direct.generating
        return self.options.buffering == "prefetch" and not works

    def _is_broken(self, way: Plan) -> bool:
        return not any(map(self._routes.leads, way.paths))

    def _may_rise(self, feed: Feed) -> bool:
        """Whether it is to be fed, and could be."""
        if feed.peer.relayed.synchronised and self._is_wanted(feed.peer):
            return True
        feed.rising, feed.trouble, feed.stuck_bytes = False, None, None
        return False

    def _feed(self, feed: Feed) -> None:
        water, stock = self._marks(feed), feed.stock
        feed.rising = stock < water.low or (feed.rising and stock < water.high)
        while feed.may_send(self._priority(feed), self._clock.monotonic()):
            self._send(feed, feed.next_bytes(water))
            feed.rising = feed.stock < water.high

    def _send(self, feed: Feed, size: int) -> None:
        now, destination = self._clock.monotonic(), feed.peer.id
        way = self._plan(feed, size)
        if isinstance(way, str):
            feed.failed(way, now, size)
            feed.stuck_bytes = size
            return
        data = KeyMaterial(self._entropy.token(MAC_KEY_BYTES + size))
        parcel = Parcel(destination, BlockPayload(), data, self._priority(feed))
        under_way = UnderWay(size, way, parcel.priority)
        feed.parcels.append(under_way)
        under_way.withdraw = self._relay.send(parcel, way, now + PARCEL_S, partial(self._sent, feed, under_way))

    def _plan(self, feed: Feed, size: int) -> Plan | str:
        destination = feed.peer.id
        return plan(self._routes, self._me, destination, self._terms(destination), MAC_KEY_BYTES + size)

    def _sent(self, feed: Feed, parcel: UnderWay, reason: str | None) -> None:
        if parcel not in feed.parcels:
            return  # it was given up before
        feed.parcels.remove(parcel)
        if reason is None:
            feed.arrived()
        else:
            feed.failed(reason, self._clock.monotonic(), parcel.size_bytes)
