"""Nodes that gossip over a network that loses, repeats, delays and reorders, on virtual time."""

import random
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count, permutations

import msgspec

from keyhop.core.ids import KmeId
from keyhop.network.topology.gossip import Gossip
from keyhop.network.topology.reports import LinkReport, Report
from keyhop.network.topology.view import View

TICK_S = 0.1
MIB = 1 << 20
_decoder = msgspec.msgpack.Decoder(Report)

type Pair = frozenset[str]


def pairs(text: str) -> set[Pair]:
    """From "ab bc": a with b, and b with c."""
    return {frozenset(pair) for pair in text.split()}


class NodeClock:
    """Its monotonic time is everybody's, its wall time is set by its owner."""

    def __init__(self, now: Callable[[], float], wall_ahead_s: float) -> None:
        self.monotonic = now
        self._ahead = wall_ahead_s

    def wall(self) -> float:
        return self.monotonic() + self._ahead


class GossipNetwork:
    """`sessions` join nodes that talk to each other, `links` those that share a QKD link, by one letter each.

    What is in `silent` loses every message, and nobody is told; of what is in `cut` both ends know that it is down.
    """

    def __init__(self, sessions: set[Pair], links: set[Pair], seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.now = 1_800_000_000.0
        self.names = sorted(set().union(*sessions, *links))
        self.sessions = sessions
        self.links = links
        self.cut: set[Pair] = set()
        self.silent: set[Pair] = set()
        self.dead: set[str] = set()
        self.stock: dict[tuple[str, str], int] = {}
        self.loss = self.repeat = 0.0
        self.delay_s = (0.001, 0.02)
        self.sent = 0
        self.gossips: dict[str, Gossip] = {}
        self.views: dict[str, View] = {}
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        for name in self.names:
            self.start(name)
            self._at(self.random.random() * TICK_S, partial(self._tick, name))

    def start(self, name: str, wall_ahead_s: float = 0.0) -> None:
        """A process without memory; its wall clock may be set wrongly."""
        self.dead.discard(name)
        clock = NodeClock(lambda: self.now, wall_ahead_s)
        members = [KmeId(other) for other in self.names]
        self.views[name] = View(KmeId(name), members, clock)
        self.gossips[name] = Gossip(KmeId(name), clock, partial(self._send, name), self.views[name])
        for peer in self._peers(name):
            self.connect(name, peer)

    def kill(self, name: str, *, told: bool = True) -> None:
        """The process ends; its peers see their connections end, unless the whole machine is gone."""
        self.dead.add(name)
        for peer in self._peers(name):
            if told and peer in self.gossips:
                self.gossips[peer].disconnected(KmeId(name))

    def connect(self, name: str, peer: str) -> None:
        """A session begins at both ends."""
        if peer in self.gossips and peer not in self.dead:
            self.gossips[name].connected(KmeId(peer))
            self.gossips[peer].connected(KmeId(name))

    def say(self, liar: str, peer: str, report: Report) -> None:
        """A node that does not keep to the rules tells a peer something."""
        self._send(liar, KmeId(peer), report)

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heappop(self._events)
            event()
        self.now = end

    def time_until(self, condition: Callable[[], bool], limit_s: float = 30.0) -> float:
        """How long it takes, in seconds; AssertionError when it takes longer than the limit."""
        began = self.now
        while not condition():
            assert self.now - began < limit_s, "it does not come to pass"
            self.run(0.01)
        return self.now - began

    def live(self) -> list[str]:
        """The nodes that run."""
        return [name for name in self.names if name not in self.dead]

    def agree_on(self, links: set[Pair]) -> bool:
        """Whether all nodes that run see these edges, in both directions, and no others."""
        wanted = {hop for pair in links for hop in permutations(pair)}
        return all({hop for hop, _ in self.views[name].edges()} == wanted for name in self.live())

    def stock_seen_by(self, name: str, source: str, target: str) -> int:
        """What a node holds for the stock of an edge."""
        return dict(self.views[name].edges())[KmeId(source), KmeId(target)].stock_bytes

    def parts_seen_by(self, name: str) -> set[str]:
        """The parts of the network, each as the letters of its nodes."""
        return {"".join(sorted(part)) for part in self.views[name].parts}

    def _peers(self, name: str) -> list[str]:
        return sorted(other for pair in self.sessions if name in pair for other in pair if other != name)

    def _at(self, delay_s: float, event: Callable[[], None]) -> None:
        heappush(self._events, (self.now + delay_s, next(self._order), event))

    def _tick(self, name: str) -> None:
        if name not in self.dead:
            self.gossips[name].tick(self._links(name))
        self._at(TICK_S, partial(self._tick, name))

    def _links(self, name: str) -> tuple[LinkReport, ...]:
        peers = sorted(other for pair in self.links if name in pair for other in pair if other != name)
        return tuple(
            LinkReport(KmeId(peer), frozenset((name, peer)) not in self.cut, self.stock.get((name, peer), MIB), 0)
            for peer in peers
        )

    def _send(self, source: str, target: KmeId, report: Report) -> None:
        self.sent += 1
        data = msgspec.msgpack.encode(report)
        while True:
            if self.random.random() >= self.loss:
                self._at(self.random.uniform(*self.delay_s), partial(self._deliver, source, target, data))
            if self.random.random() >= self.repeat:
                return

    def _deliver(self, source: str, target: str, data: bytes) -> None:
        if frozenset((source, target)) not in self.silent and target not in self.dead and source not in self.dead:
            self.gossips[target].received(KmeId(source), _decoder.decode(data))
