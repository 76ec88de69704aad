"""The cheapest paths that share no node: Suurballe's successive shortest paths on the node-split graph.

Each round finds the cheapest way to have one path more, on the residual graph: a new path may go back along an old
one, which then takes the rest of the new one's way. Potentials keep costs there from being negative, so that Dijkstra
does (Edmonds and Karp 1972). After k rounds the total of k paths is minimal (Suurballe 1974).

A node is two vertices, `2n` where paths come in and `2n + 1` where they go out, and one path in all fits between them.
"""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

type Costs[Node] = Mapping[Node, Mapping[Node, int]]
"""What an edge costs, at least 0, from each node to others."""


class Found[Node](NamedTuple):
    """A path with both its ends."""

    cost: int
    nodes: tuple[Node, ...]


def disjoint_paths[Node](costs: Costs[Node], source: Node, target: Node, count: int) -> list[Found[Node]]:
    """Up to `count` paths that share no node but their ends, or as many as there are; the cheapest first."""
    if source == target:
        return []
    names = list(costs.keys() | {source, target})
    number = {name: n for n, name in enumerate(names)}
    edges = [{number[v]: c for v, c in costs.get(name, {}).items() if v in number} for name in names]
    flow = _Flow(edges, number[source], number[target])
    for _ in range(count):
        if not flow.add_path():
            break
    found = [Found(sum(edges[u][v] for u, v in pairwise(path)), tuple(names[n] for n in path)) for path in flow.paths()]
    return sorted(found, key=lambda path: (path.cost, len(path.nodes)))


class _Flow:
    """The paths so far, as the edges that they use."""

    def __init__(self, edges: list[dict[int, int]], source: int, target: int) -> None:
        self._edges = edges
        self._source = source
        self._target = target
        self._used: set[tuple[int, int]] = set()
        self._before: dict[int, int] = {}
        """On a path, where it comes from."""
        self._potential = [0] * (2 * len(edges))

    def add_path(self) -> bool:
        """One path more, if there can be."""
        came_from = self._search()
        if came_from is None:
            return False
        vertex = 2 * self._target
        while vertex != 2 * self._source + 1:
            earlier = came_from[vertex]
            u, v = earlier >> 1, vertex >> 1
            if u != v:
                self._used ^= {(u, v)} if earlier & 1 else {(v, u)}
            vertex = earlier
        self._before = {v: u for u, v in self._used if v != self._target}
        return True

    def paths(self) -> Iterator[list[int]]:
        """From the source to the target."""
        onward = {u: v for u, v in self._used if u != self._source}
        for u, v in self._used:
            if u == self._source:
                path = [u, v]
                while path[-1] != self._target:
                    path.append(onward[path[-1]])
                yield path

    def _search(self) -> dict[int, int] | None:
        """Dijkstra from the source to the target: for each vertex on the way, the one before."""
        potential, goal = self._potential, 2 * self._target
        start = 2 * self._source + 1
        distance, heap = {start: 0}, [(0, start)]
        came_from: dict[int, int] = {}
        done: set[int] = set()
        while heap:
            so_far, vertex = heappop(heap)
            if vertex == goal:
                for near in done:
                    potential[near] += distance[near] - so_far
                return came_from
            if vertex in done:
                continue
            done.add(vertex)
            so_far += potential[vertex]
            for step, cost in self._steps(vertex):
                further = so_far + cost - potential[step]
                if step not in distance or further < distance[step]:
                    distance[step] = further
                    came_from[step] = vertex
                    heappush(heap, (further, step))
        return None

    def _steps(self, vertex: int) -> Iterator[tuple[int, int]]:
        """Where one can go from there, and what that costs."""
        node = vertex >> 1
        on_path = node in self._before
        if vertex & 1:
            used = self._used
            ends_path = on_path or node == self._source
            for peer, cost in self._edges[node].items():
                if not (ends_path and (node, peer) in used):
                    yield 2 * peer, cost
            if on_path:
                yield vertex - 1, 0
        elif not on_path:
            yield vertex + 1, 0
        else:
            earlier = self._before[node]
            yield 2 * earlier + 1, -self._edges[earlier][node]
