"""Disjoint paths against brute force over all sets of paths, on small random graphs."""

from itertools import combinations, pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyhop.network.topology.disjoint import disjoint_paths

type Graph = dict[int, dict[int, int]]

NODES = 7


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """With few different costs there are many ties; an edge may be there in one direction only."""
    pairs = [(u, v) for u in range(NODES) for v in range(NODES) if u != v]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=24, unique=True))
    graph: Graph = {}
    for u, v in chosen:
        graph.setdefault(u, {})[v] = draw(st.integers(0, draw(st.sampled_from([1, 4, 1000]))))
    return graph


def simple_paths(graph: Graph, at: int, target: int, seen: tuple[int, ...]) -> list[tuple[int, ...]]:
    if at == target:
        return [seen]
    return [
        path
        for peer in graph.get(at, {})
        if peer not in seen
        for path in simple_paths(graph, peer, target, (*seen, peer))
    ]


def cost_of(graph: Graph, path: tuple[int, ...]) -> int:
    return sum(graph[u][v] for u, v in pairwise(path))


def are_disjoint(paths: tuple[tuple[int, ...], ...]) -> bool:
    inner = [node for path in paths for node in path[1:-1]]
    hops = [hop for path in paths for hop in pairwise(path)]
    return len(set(inner)) == len(inner) and len(set(hops)) == len(hops)


def best_by_brute_force(graph: Graph, source: int, target: int, count: int) -> tuple[int, int]:
    """How many disjoint paths there are, up to `count`, and what that many cost in all."""
    paths = simple_paths(graph, source, target, (source,))
    for number in range(count, 0, -1):
        costs = [
            sum(cost_of(graph, path) for path in chosen)
            for chosen in combinations(paths, number)
            if are_disjoint(chosen)
        ]
        if costs:
            return number, min(costs)
    return 0, 0


@settings(max_examples=400, deadline=None)
@given(graphs(), st.integers(1, 3))
@example({0: {2: 5, 5: 6, 6: 2}, 2: {3: 9}, 3: {1: 1}, 4: {1: 8}, 5: {1: 2}, 6: {2: 0, 4: 3, 5: 3}}, 2)
def test_they_are_as_many_as_there_can_be_and_the_cheapest(graph: Graph, count: int) -> None:
    source, target = 0, 1
    found = disjoint_paths(graph, source, target, count)
    number, least = best_by_brute_force(graph, source, target, count)
    assert len(found) == number
    assert sum(path.cost for path in found) == least
    assert are_disjoint(tuple(path.nodes for path in found))
    for path in found:
        assert (path.nodes[0], path.nodes[-1]) == (source, target)
        assert path.cost == cost_of(graph, path.nodes)
    assert [path.cost for path in found] == sorted(path.cost for path in found)


def test_a_second_path_takes_over_a_part_of_the_first() -> None:
    """The cheapest path alone, s-a-b-t, would leave none beside it."""
    graph = {"s": {"a": 1, "c": 3}, "a": {"b": 1, "d": 3}, "b": {"t": 1}, "c": {"b": 3}, "d": {"t": 3}}
    assert [path.nodes for path in disjoint_paths(graph, "s", "t", 1)] == [("s", "a", "b", "t")]
    assert {path.nodes for path in disjoint_paths(graph, "s", "t", 2)} == {("s", "a", "d", "t"), ("s", "c", "b", "t")}
    assert len(disjoint_paths(graph, "s", "t", 3)) == 2


def test_no_path_leads_from_a_node_to_itself() -> None:
    assert disjoint_paths({"s": {"a": 1}, "a": {"s": 1}}, "s", "s", 1) == []


def test_nodes_that_nobody_knows_are_not_reached() -> None:
    assert disjoint_paths({"s": {"a": 1}}, "s", "t", 1) == []
    assert disjoint_paths({}, "s", "t", 1) == []
