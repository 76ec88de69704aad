"""The network as this node sees it now: paths, who can be reached, and which parts have fallen apart."""

from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from zlib import crc32

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.core.origin import MAX_HOPS, Path
from keyhop.network.topology.costs import HOP, cost, need_level
from keyhop.network.topology.disjoint import disjoint_paths
from keyhop.network.topology.edges import Edge, Edges, Hop
from keyhop.network.topology.failures import Failures
from keyhop.network.topology.reports import LinkReport

MAX_CACHED = 4096

type _Query = tuple[KmeId, KmeId, int, int, frozenset[KmeId | Hop], int]


class View:
    """`members` are the KMEs that should be there, this one too, heard of or not."""

    def __init__(self, me: KmeId, members: Collection[KmeId], clock: Clock) -> None:
        self._me = me
        self.members = frozenset(members) | {me}
        self._edges = Edges()
        self._failures = Failures(clock)
        self._version = (0, 0)
        self._paths: dict[_Query, tuple[Path, ...]] = {}
        self._parts: tuple[frozenset[KmeId], ...] | None = None

    def say(self, node: KmeId, links: tuple[LinkReport, ...]) -> None:
        """A node says this of its links; nothing any more with none."""
        self._edges.say(node, links)

    def failed(self, what: KmeId | Hop, reason: str) -> None:
        """A node, or an edge in this direction, did not do what it was asked for: it is avoided for some seconds."""
        self._failures.note(what, reason)

    def failures(self) -> Mapping[KmeId | Hop, str]:
        """What is avoided now, and why."""
        self._failures.forget_old()
        return self._failures.recent()

    def paths(
        self,
        source: KmeId,
        destination: KmeId,
        count: int = 1,
        *,
        need_bytes: int = 0,
        exclude: Iterable[KmeId | Hop] = (),
        max_hops: int = MAX_HOPS,
    ) -> tuple[Path, ...]:
        """Up to `count` paths that share no node but their ends, of the least cost in all; the cheapest first.

        `need_bytes` is what each edge is to send: edges that have much more are preferred, and those that will not have
        it are not used: what came so far would be lost there, and the pads of all edges before with it. Nor are nodes
        and edges in `exclude`. Where a cheapest path has more than `max_hops`, those with the fewest are looked at too.
        """
        self._refresh()
        query = (source, destination, count, need_level(need_bytes), frozenset(exclude), max_hops)
        found = self._paths.get(query)
        if found is None:
            if len(self._paths) >= MAX_CACHED:
                self._paths.clear()
            found = self._paths[query] = self._search(*query)
        lacking = {hop for path in found for hop in pairwise(path) if self._edges.available(hop) < need_bytes}
        if lacking:
            return self.paths(
                source, destination, count, need_bytes=need_bytes, exclude=lacking.union(exclude), max_hops=max_hops
            )
        return found

    def leads(self, path: Path) -> bool:
        """Whether all edges of a path are up."""
        return all(peer in self._edges.of(node) for node, peer in pairwise(path))

    def spare_bytes(self, path: Path) -> int:
        """What the edge of a path that has least has now for keys of others; 0 where one is not up."""
        edges = (self._edges.of(node).get(peer) for node, peer in pairwise(path))
        return min(edge.stock_bytes if edge else 0 for edge in edges)

    @property
    def reachable(self) -> frozenset[KmeId]:
        """The other nodes to which edges lead."""
        return self.parts[0] - {self._me}

    @property
    def unreachable(self) -> frozenset[KmeId]:
        """The members to which no edges lead: the network is partitioned, or they are down."""
        return self.members - self.parts[0]

    @property
    def parts(self) -> tuple[frozenset[KmeId], ...]:
        """The parts into which the network has fallen, this node's first, then the largest; one when it is whole."""
        self._refresh()
        if self._parts is None:
            left = self.members | self._edges.nodes()
            found = []
            while left:
                found.append(self._part(self._me if self._me in left else min(left)))
                left -= found[-1]
            self._parts = (found[0], *sorted(found[1:], key=lambda part: (-len(part), min(part))))
        return self._parts

    def edges(self) -> list[tuple[Hop, Edge]]:
        """Every edge that is up, in both directions, ordered."""
        return sorted(self._edges.hops())

    def _refresh(self) -> None:
        self._failures.forget_old()
        version = (self._edges.version, self._failures.version)
        if version != self._version:
            self._version = version
            self._paths.clear()
            self._parts = None

    def _part(self, start: KmeId) -> frozenset[KmeId]:
        reached, front = {start}, [start]
        while front:
            for peer in self._edges.of(front.pop()):
                if peer not in reached:
                    reached.add(peer)
                    front.append(peer)
        return frozenset(reached)

    def _search(
        self,
        source: KmeId,
        destination: KmeId,
        count: int,
        needed: int,
        exclude: frozenset[KmeId | Hop],
        max_hops: int,
    ) -> tuple[Path, ...]:
        costs = self._costs(source, destination, needed, exclude)
        cheapest = disjoint_paths(costs, source, destination, count)
        short = [path for path in cheapest if len(path.nodes) - 1 <= max_hops]
        if len(short) < len(cheapest):
            hops = {node: dict.fromkeys(edges, HOP) for node, edges in costs.items()}
            fewest = disjoint_paths(hops, source, destination, count)
            short = max(short, [path for path in fewest if len(path.nodes) - 1 <= max_hops], key=len)
        return tuple(path.nodes for path in short)

    def _costs(
        self, source: KmeId, destination: KmeId, needed: int, exclude: frozenset[KmeId | Hop]
    ) -> dict[KmeId, dict[KmeId, int]]:
        """Of all edges that may be used."""
        ends = crc32(f"{source} {destination}".encode())
        costs: dict[KmeId, dict[KmeId, int]] = {}
        for hop, edge in self._edges.hops():
            node, peer = hop
            if exclude and (node in exclude or peer in exclude or hop in exclude):
                continue
            price = cost(edge, needed, ends, self._failures.count(node, peer))
            if price is not None:
                costs.setdefault(node, {})[peer] = price
        return costs
