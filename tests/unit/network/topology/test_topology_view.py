"""Which paths a node takes, and what it knows of a network that has fallen apart."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from keyhop.core.ids import KmeId
from keyhop.network.topology.failures import AVOIDED_S, REMEMBERED
from keyhop.network.topology.reports import LinkReport
from keyhop.network.topology.view import View
from keyhop.testing.virtual import VirtualClock

MIB = 1 << 20
BLOCK = 32 << 10


class Town:
    """A view of a network whose links a test sets: `links` is the stock of each direction, by both names."""

    def __init__(self, joined: str, me: str = "s", members: str = "") -> None:
        """`joined` names the links by their ends, as in "sa ab bt"."""
        self.clock = VirtualClock()
        self.view = View(KmeId(me), [KmeId(name) for name in members], self.clock)
        self.links: dict[tuple[str, str], LinkReport] = {}
        for u, v in map(tuple, joined.split()):
            self.set(u, v)
            self.set(v, u)

    def set(self, u: str, v: str, *, up: bool = True, stock: int = 16 * MIB, rate: int = 0, priority: int = 4) -> None:
        self.links[u, v] = LinkReport(KmeId(v), up, stock, rate, priority)
        said = tuple(link for (node, _), link in self.links.items() if node == u)
        self.view.say(KmeId(u), said)

    def paths(self, count: int = 1, **options: object) -> list[str]:
        found = self.view.paths(KmeId("s"), KmeId("t"), count, **options)  # type: ignore[arg-type]
        return ["".join(path) for path in found]


def test_the_shortest_path_is_taken() -> None:
    assert Town("sa ab bt sc ct").paths() == ["sct"]


def test_two_paths_share_no_node() -> None:
    assert sorted(Town("sa ab bt sc cb ad dt").paths(2)) == ["sadt", "scbt"]


def test_there_are_as_many_paths_as_there_can_be() -> None:
    town = Town("sa at sb bt sc ca")
    assert sorted(town.paths(9)) == ["sat", "sbt"]
    assert town.paths(0) == []


def test_the_stock_of_the_direction_counts() -> None:
    town = Town("sa at sb bt")
    town.set("a", "t", stock=BLOCK)
    town.set("t", "b", stock=0)
    assert town.paths(need_bytes=BLOCK) == ["sbt"]


def test_an_edge_with_little_stock_is_avoided_while_a_detour_is_not_long() -> None:
    town = Town("sa at sb bc ct")
    assert town.paths(need_bytes=BLOCK) == ["sat"]
    town.set("a", "t", stock=2 * BLOCK)
    assert town.paths(need_bytes=BLOCK) == ["sbct"]
    assert town.paths(need_bytes=16) == ["sat"]


def test_an_edge_with_little_stock_is_used_when_there_is_no_other() -> None:
    town = Town("sa at")
    town.set("a", "t", stock=MIB)
    assert town.paths(need_bytes=MIB) == ["sat"]


def test_an_edge_that_will_not_have_what_it_is_to_send_is_none() -> None:
    town = Town("sa at")
    town.set("a", "t", stock=BLOCK - 1)
    assert town.paths(need_bytes=BLOCK) == []
    assert town.paths(need_bytes=BLOCK - 1) == town.paths() == ["sat"]
    town.set("a", "t", stock=BLOCK - 10, rate=8)
    assert town.paths(need_bytes=BLOCK) == ["sat"]


def test_a_detour_of_any_length_is_taken_around_an_edge_that_will_not_have_it() -> None:
    town = Town("sa at sb bc cd de ef fg gh hi it")
    town.set("a", "t", stock=BLOCK - 1)
    assert town.paths(need_bytes=BLOCK) == ["sbcdefghit"]


def test_an_edge_that_has_nothing_and_gets_nothing_is_none() -> None:
    town = Town("sa at")
    town.set("a", "t", stock=0)
    assert town.paths() == []
    town.set("a", "t", stock=0, rate=1000)
    assert town.paths() == ["sat"]


def test_priority_outweighs_hops() -> None:
    town = Town("sa at sb bc ct")
    town.set("s", "a", priority=2)
    assert town.paths() == ["sbct"]


def test_what_has_failed_is_avoided_for_a_while() -> None:
    for failed in (KmeId("a"), (KmeId("s"), KmeId("a"))):
        town = Town("sa at sb bc cd dt")
        town.view.failed(failed, "no answer")
        assert town.paths() == ["sbcdt"]
        assert town.view.failures() == {failed: "no answer"}
        town.clock.advance(AVOIDED_S)
        assert town.paths() == ["sat"]
        assert not town.view.failures()


def test_what_has_failed_is_used_when_there_is_no_other() -> None:
    town = Town("sa at")
    town.view.failed(KmeId("a"), "no answer")
    assert town.paths() == ["sat"]


def test_a_failure_in_one_direction_leaves_the_other() -> None:
    town = Town("sa at sb bc ct")
    town.view.failed((KmeId("a"), KmeId("s")), "no answer")
    assert town.paths() == ["sat"]


def test_no_more_failures_are_remembered_than_there_is_room_for() -> None:
    town = Town("sa at")
    for n in range(REMEMBERED + 50):
        town.view.failed(KmeId(f"n{n}"), "a lie")
    town.view.failed(KmeId("a"), "no answer")
    failures = town.view.failures()
    assert len(failures) == REMEMBERED
    assert KmeId("a") in failures
    assert KmeId("n0") not in failures


@pytest.mark.parametrize("excluded", [KmeId("a"), (KmeId("a"), KmeId("t"))])
def test_what_is_excluded_is_not_used(excluded: KmeId | tuple[KmeId, KmeId]) -> None:
    town = Town("sa at sb bc ct")
    assert town.paths(2, exclude=[excluded]) == ["sbct"]
    assert sorted(town.paths(2)) == ["sat", "sbct"]


def test_paths_with_too_many_hops_are_left_out() -> None:
    town = Town("sa ab bc ct")
    assert town.paths(max_hops=4) == ["sabct"]
    assert town.paths(max_hops=3) == []


def test_a_shorter_path_is_found_when_the_cheapest_has_too_many_hops() -> None:
    town = Town("sa at sb bc cd dt")
    town.set("s", "a", priority=0)
    assert town.paths() == ["sbcdt"]
    assert town.paths(max_hops=3) == ["sat"]


def test_paths_are_sought_again_when_the_network_changes() -> None:
    town = Town("sa at sb bc ct")
    assert town.paths() == ["sat"]
    town.set("t", "a", up=False)
    assert town.paths() == ["sbct"]
    town.set("t", "a")
    assert town.paths() == ["sat"]


def test_pairs_spread_over_paths_that_are_the_same() -> None:
    """Each pair keeps to one of them."""
    middle = "abcdefgh"
    view = View(KmeId("s0"), [], VirtualClock())
    ends = [f"{side}{n}" for side in "st" for n in range(8)]
    for end in ends:
        view.say(KmeId(end), tuple(LinkReport(KmeId(m), True, MIB, 0) for m in middle))
    for m in middle:
        view.say(KmeId(m), tuple(LinkReport(KmeId(end), True, MIB, 0) for end in ends))
    used = Counter(view.paths(KmeId(f"s{n}"), KmeId(f"t{m}"))[0][1] for n in range(8) for m in range(8))
    assert len(used) == len(middle)
    assert max(used.values()) <= 3 * 64 / len(middle)


def test_load_alternates_between_two_ways_and_does_not_flap() -> None:
    """A block at a time goes over the better path; both links bring three fifths of what is sent."""
    town = Town("sa at sb bt")
    stock = {"a": 8 * MIB, "b": 8 * MIB}
    taken: list[str] = []
    for _ in range(4000):
        for via in stock:
            stock[via] = min(stock[via] + BLOCK * 3 // 5, 8 * MIB)
            town.set("s", via, stock=stock[via])
        (path,) = town.paths(need_bytes=BLOCK)
        taken.append(path[1])
        assert stock[path[1]] >= BLOCK, "the one that had less was taken"
        stock[path[1]] -= BLOCK
    shares = Counter(taken)
    assert min(shares.values()) > 0.35 * len(taken)
    assert sum(before != after for before, after in pairwise(taken)) < len(taken) / 10


def test_members_that_are_not_reached_are_told() -> None:
    town = Town("sa ab cd", members="abcde")
    assert set(town.view.reachable) == set("ab")
    assert set(town.view.unreachable) == set("cde")
    assert [set(part) for part in town.view.parts] == [set("sab"), set("cd"), {"e"}]
    town.set("b", "c")
    town.set("c", "b")
    assert set(town.view.unreachable) == {"e"}


def test_a_network_that_is_whole_has_one_part() -> None:
    town = Town("sa ab", members="ab")
    assert [set(part) for part in town.view.parts] == [set("sab")]
    assert not town.view.unreachable


def test_there_are_paths_over_edges_of_the_network_to_whom_can_be_reached() -> None:
    chance = random.Random(5)
    for _ in range(50):
        pairs = [u + v for u in "abcdest" for v in "abcdest" if u < v and chance.random() < 0.3]
        town = Town(" ".join(pairs))
        paths = town.paths(3)
        assert bool(paths) == ("t" in town.view.reachable)
        for path in paths:
            assert all("".join(sorted(hop)) in pairs for hop in pairwise(path))
