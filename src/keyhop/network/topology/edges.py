"""An edge is there when both its ends say so, and up when both say that; the sender says how much key it has.

How much that is counts in powers of two, and changes only when it is clearly another one: a path that was chosen for
its stock shall not be left for another one because of what was just sent over it.
"""

from collections.abc import Iterator, Mapping
from math import log2
from typing import NamedTuple
from zlib import crc32

from keyhop.core.ids import KmeId
from keyhop.network.topology.reports import LinkReport

HORIZON_S = 10
"""What a link brings in this time counts as if it were there."""
MARGIN = 0.25
"""So far beyond its bounds, in powers of two, a level is kept."""

type Hop = tuple[KmeId, KmeId]


class Edge(NamedTuple):
    """From one node to its neighbour, over the stream that the first one owns.

    `level` is the power of two of the bytes available within `HORIZON_S`; None when there are none. `mark` is a number
    of its own.
    """

    stock_bytes: int
    rate_bps: int
    priority: int
    level: int | None
    mark: int

    def differs(self, other: "Edge | None") -> bool:
        """Whether paths may be others with it."""
        return other is None or (self.level, self.priority) != (other.level, other.priority)


def available_bytes(link: LinkReport) -> int:
    """What can be taken within `HORIZON_S`."""
    return link.stock_bytes + link.rate_bps * HORIZON_S // 8


class Edges:
    """All edges that are up, from what nodes say. `version` changes when paths may be others."""

    def __init__(self) -> None:
        self._said: dict[KmeId, dict[KmeId, LinkReport]] = {}
        self._edges: dict[KmeId, dict[KmeId, Edge]] = {}
        self.version = 0

    def say(self, node: KmeId, links: tuple[LinkReport, ...]) -> None:
        """The node says so; nothing any more with no links."""
        before = self._said.get(node, {})
        said = {link.peer: link for link in links}
        if said == before:
            return
        self._said.pop(node, None)
        if said:
            self._said[node] = said
        for peer in before.keys() | said.keys():
            old, new = before.get(peer), said.get(peer)
            if old != new:
                self._judge(node, peer)
            if _matters_to_its_end(old, new):
                self._judge(peer, node)

    def of(self, node: KmeId) -> Mapping[KmeId, Edge]:
        """The edges that leave it."""
        return self._edges.get(node, {})

    def available(self, hop: Hop) -> int:
        """The bytes that an edge has, or gets within `HORIZON_S`; 0 of one that is not up."""
        edge = self.of(hop[0]).get(hop[1])
        return 0 if edge is None else edge.stock_bytes + edge.rate_bps * HORIZON_S // 8

    def hops(self) -> Iterator[tuple[Hop, Edge]]:
        """Every edge, in both directions."""
        for node, edges in self._edges.items():
            for peer, edge in edges.items():
                yield (node, peer), edge

    def nodes(self) -> set[KmeId]:
        """Those that have an edge."""
        return set(self._edges)

    def _judge(self, node: KmeId, peer: KmeId) -> None:
        """Looks again whether there is an edge, and what it is like."""
        out = self._said.get(node, {}).get(peer)
        back = self._said.get(peer, {}).get(node)
        edges = self._edges.get(node, {})
        before = edges.get(peer)
        if out is None or back is None or not (out.up and back.up):
            if before is not None:
                self.version += 1
                del edges[peer]
                if not edges:
                    del self._edges[node]
            return
        level = _level(available_bytes(out), before)
        mark = crc32(f"{node} {peer}".encode()) if before is None else before.mark
        edge = Edge(out.stock_bytes, out.rate_bps, min(out.priority, back.priority), level, mark)
        self.version += edge.differs(before)
        self._edges.setdefault(node, {})[peer] = edge


def _matters_to_its_end(old: LinkReport | None, new: LinkReport | None) -> bool:
    """Whether the edge from its other end may be another one; how much key there is, only its sender says."""
    return old is None or new is None or (old.up, old.priority) != (new.up, new.priority)


def _level(available: int, before: Edge | None) -> int | None:
    if not available:
        return None
    exact = log2(available)
    if before is not None and before.level is not None and -MARGIN <= exact - before.level < 1 + MARGIN:
        return before.level
    return int(exact)
