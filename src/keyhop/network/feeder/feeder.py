"""All relayed streams of a KME that it owns: what one lacks is made here, and relayed.

A stream is fed from its low mark on until it is at its high one. The pads of each link go to all flows in turn
(`relay.pads`), so streams that lack share scarce links, if none has much under way: a window of a few parcels at most,
one more for each that arrives, half of them after a failure. It is the same with their sizes: where many wait for pads
of a link a large block waits longer than anybody does, and the pads of the links before it are used up in vain. Streams
of which nobody asks anything come after others.

A path that fails is told to the routes, and the next parcel takes another at once; when that fails too, after a pause.
What is under way on a path that is known to be broken is not waited for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path, label
from keyhop.core.streams import Admission
from keyhop.core.units import UNIT_BYTES
from keyhop.network.feeder.fairness import jains_index
from keyhop.network.feeder.planning import Routes, Terms, plan
from keyhop.network.feeder.water import LEAST_BLOCK_BYTES, MOST_BLOCK_BYTES, Marks, block_bytes, marks
from keyhop.network.peer import Peer
from keyhop.network.relay.messages import BlockPayload
from keyhop.network.relay.parcels import Done, Parcel, Plan, source_kind
from keyhop.network.sealing import MAC_KEY_BYTES

PARCEL_S = 24.0
"""A block that has not arrived by then is given up: pads of scarce links are waited for."""
MOST_UNDER_WAY = 4
GROWTH = 1 / 16
"""By this part the blocks of a stream grow with each that arrives; after one that does not they are half as large."""
ASKED_S = 30.0
"""How long a stream is fed with the priority of whoever found it empty."""
PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0)
"""After each failure in a row."""

Buffering = Literal["prefetch", "on-demand"]


@dataclass(frozen=True, slots=True)
class FeederOptions:
    """`prefetch` keeps relayed streams filled, `on-demand` keeps them empty: a key is relayed when it is asked for.

    `least_bytes` is the low mark of a stream of which nobody asks anything.
    """

    buffering: Buffering = "prefetch"
    least_bytes: int = 8192
    most_bytes: int = 16 << 20

    @property
    def usual_bytes(self) -> int:
        """What such a stream holds once it is fed."""
        return marks(0.0, 0, self.least_bytes, self.most_bytes).high


class Sends(Protocol):
    """The relay."""

    def send(self, parcel: Parcel, plan: Plan, deadline: float, done: Done) -> None:
        """Calls `done` once the destination has the parcel, or with the reason why it has not."""
        ...


@dataclass(slots=True, eq=False)
class _UnderWay:
    size_bytes: int
    way: Plan


@dataclass(slots=True)
class _Feed:
    """One stream. `trouble` is why the last parcel did not arrive, or could not leave."""

    peer: Peer
    rising: bool = False
    window: int = 1
    most_block_bytes: int = MOST_BLOCK_BYTES
    parcels: list[_UnderWay] = field(default_factory=list)
    asked_at: dict[int, float] = field(default_factory=dict)
    """When somebody of a priority found it empty last."""
    failures: int = 0
    not_before: float = 0.0
    trouble: str | None = None


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
        self._feeds = {peer.id: _Feed(peer) for peer in peers.values()}

    def tick(self) -> None:
        """Time has passed: looks at all streams, those that run dry first before others of their priority."""
        hungry: list[_Feed] = []
        for feed in self._feeds.values():
            feed.peer.relayed.give_up_weaker(self._terms(feed.peer.id).needed)
            self._give_up_broken(feed)
            if self._may_rise(feed):
                hungry.append(feed)
        for feed in sorted(hungry, key=self._urgency):
            self._feed(feed)

    def kick(self, peer: KmeId, priority: int) -> None:
        """Somebody of that priority found its stream empty."""
        feed = self._feeds[peer]
        feed.asked_at[priority] = self._clock.monotonic()
        if self._may_rise(feed):
            self._feed(feed)

    def is_feeding(self, peer: KmeId, admission: Admission | None = None) -> bool:
        """Whether its stream is being filled, with what will do: not while there are fewer paths than that takes."""
        terms = self._terms(peer)
        if isinstance(plan(self._routes, self._me, peer, terms, 0), str):
            return False
        if admission is not None and not admission.admits_source(label(source_kind(terms.strategy), (), terms.needed)):
            return False
        feed = self._feeds[peer]
        return feed.rising or bool(feed.parcels) or feed.peer.relayed.filling.waiting_units > 0

    def trouble(self, peer: KmeId) -> str | None:
        """Why its stream is not fed, if it should be."""
        return self._feeds[peer].trouble

    def marks(self, peer: KmeId) -> Marks | None:
        """Between which its stream is kept; None while it is not fed."""
        state = self._feeds[peer].peer
        return self._marks(state) if self._is_wanted(state) else None

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

    def _urgency(self, feed: _Feed) -> tuple[int, float]:
        low = self._marks(feed.peer).low
        return -self._priority(feed), self._stock(feed) / low if low else 0.0

    def _priority(self, feed: _Feed) -> int:
        """The highest of those who found it empty of late; less than usual for one of which nobody asks anything."""
        recently = self._clock.monotonic() - ASKED_S
        asked = [priority for priority, at in feed.asked_at.items() if at >= recently]
        usual = self._terms(feed.peer.id).priority
        return max(asked) if asked else usual if _demand(feed.peer) else max(usual - 1, 0)

    def _is_wanted(self, peer: Peer) -> bool:
        """Whether its relayed stream is to hold anything: not while links fill the direct one, however slowly: around
        them a key would cost several links."""
        works = peer.direct is not None and peer.direct.generating
        return self.options.buffering == "prefetch" and not works

    def _marks(self, peer: Peer) -> Marks:
        demand = _demand(peer)
        waiting = peer.relayed.leasing.waiting_units * UNIT_BYTES
        return marks(demand, waiting, self.options.least_bytes, self.options.most_bytes)

    def _stock(self, feed: _Feed) -> int:
        pair = feed.peer.relayed
        return (pair.owned.stock_units + pair.filling.waiting_units) * UNIT_BYTES + sum(
            parcel.size_bytes for parcel in feed.parcels
        )

    def _may_rise(self, feed: _Feed) -> bool:
        """Whether it is to be fed, and could be."""
        if feed.peer.relayed.synchronised and self._is_wanted(feed.peer):
            return True
        feed.rising, feed.trouble = False, None
        return False

    def _feed(self, feed: _Feed) -> None:
        peer = feed.peer
        water, stock = self._marks(peer), self._stock(feed)
        feed.rising = stock < water.low or (feed.rising and stock < water.high)
        while feed.rising and len(feed.parcels) < feed.window and self._clock.monotonic() >= feed.not_before:
            size = block_bytes(_demand(peer), water.high - self._stock(feed), water.low)
            self._send(feed, min(size, feed.most_block_bytes))
            feed.rising = self._stock(feed) < water.high

    def _send(self, feed: _Feed, size: int) -> None:
        way = plan(self._routes, self._me, feed.peer.id, self._terms(feed.peer.id), MAC_KEY_BYTES + size)
        if isinstance(way, str):
            self._fail(feed, way, size)
            return
        data = KeyMaterial(self._entropy.token(MAC_KEY_BYTES + size))
        parcel = Parcel(feed.peer.id, BlockPayload(), data, self._priority(feed))
        under_way = _UnderWay(size, way)
        feed.parcels.append(under_way)
        self._relay.send(parcel, way, self._clock.monotonic() + PARCEL_S, partial(self._sent, feed, under_way))

    def _sent(self, feed: _Feed, parcel: _UnderWay, reason: str | None) -> None:
        if parcel not in feed.parcels:
            return  # it was given up before
        feed.parcels.remove(parcel)
        if reason is None:
            feed.failures, feed.not_before, feed.trouble = 0, 0.0, None
            feed.window = min(feed.window + 1, MOST_UNDER_WAY)
            feed.most_block_bytes = min(int(feed.most_block_bytes * (1 + GROWTH)), MOST_BLOCK_BYTES)
            return
        self._fail(feed, reason, parcel.size_bytes)

    def _give_up_broken(self, feed: _Feed) -> None:
        broken = [parcel for parcel in feed.parcels if not any(map(self._routes.leads, parcel.way.paths))]
        if broken:
            feed.parcels = [parcel for parcel in feed.parcels if parcel not in broken]
            self._fail(feed, "its path was cut")

    def _fail(self, feed: _Feed, reason: str, size_bytes: int | None = None) -> None:
        """`size_bytes` are those of a block that might have arrived, had it been smaller."""
        feed.trouble = reason
        if size_bytes is not None:
            feed.most_block_bytes = max(size_bytes // 2, LEAST_BLOCK_BYTES)
        feed.window = max(feed.window // 2, 1)
        pause = PAUSES_S[min(feed.failures, len(PAUSES_S) - 1)]
        feed.failures += 1
        feed.not_before = self._clock.monotonic() + pause


def _demand(peer: Peer) -> float:
    """Bytes of key that SAEs ask for in a second, whichever stream they get them from."""
    return sum(pair.meter.demand for pair in peer.pairs)
