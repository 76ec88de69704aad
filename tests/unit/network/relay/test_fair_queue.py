"""Who is next: priorities are strict, flows of one have their parts, nobody saves anything up."""

import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.network.relay.fair_queue import FairQueue


def served(queue: FairQueue[str, str], number: int, sizes: dict[str, int], weights: dict[str, float]) -> Counter[str]:
    """Bytes of each flow when all of them always ask."""
    for flow, size in sizes.items():
        queue.add(flow, 0, weights[flow], size, flow)
    had = Counter[str]()
    for _ in range(number):
        flow = queue.pop()
        had[flow] += sizes[flow]
        queue.add(flow, 0, weights[flow], sizes[flow], flow)
    return had


@given(
    sizes=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 50), min_size=2),
    data=st.data(),
)
def test_flows_that_always_ask_have_bytes_by_their_weights(sizes: dict[str, int], data: st.DataObject) -> None:
    weights = {flow: data.draw(st.sampled_from([1.0, 2.0, 5.0])) for flow in sizes}
    had = served(FairQueue(), 3000, sizes, weights)
    parts = [had[flow] / weights[flow] for flow in sizes]
    most = max(sizes[flow] / weights[flow] for flow in sizes)
    assert max(parts) - min(parts) <= 2 * most, "no flow is ahead of another by more than one item of each"


def test_a_higher_priority_is_served_first_whoever_came_before() -> None:
    queue: FairQueue[str, str] = FairQueue()
    queue.add("low", 1, 1.0, 10, "low 1")
    queue.add("low", 1, 1.0, 10, "low 2")
    queue.add("high", 6, 1.0, 1000, "high 1")
    queue.add("high", 6, 1.0, 1000, "high 2")
    assert [queue.pop() for _ in range(4)] == ["high 1", "high 2", "low 1", "low 2"]
    assert not len(queue)


def test_the_items_of_a_flow_keep_their_order() -> None:
    queue: FairQueue[str, int] = FairQueue()
    for number in range(20):
        queue.add("a" if number % 3 else "b", 0, 1.0, 1 + number % 5, number)
    order = [queue.pop() for _ in range(20)]
    for flow in ([n for n in order if n % 3], [n for n in order if not n % 3]):
        assert flow == sorted(flow)


def test_who_was_away_gets_no_more_than_its_part_afterwards() -> None:
    queue: FairQueue[str, str] = FairQueue()
    for _ in range(100):
        queue.add("busy", 0, 1.0, 10, "busy")
        queue.pop()
    queue.add("busy", 0, 1.0, 10, "busy")
    for _ in range(10):
        queue.add("back", 0, 1.0, 10, "back")
        queue.add("busy", 0, 1.0, 10, "busy")
    first = Counter(queue.pop() for _ in range(10))
    assert first["back"] in (5, 6)


def test_a_head_start_comes_before_others_and_is_paid_for() -> None:
    queue: FairQueue[str, str] = FairQueue()
    for number in range(6):
        queue.add("a", 0, 1.0, 10, f"a{number}")
        queue.add("b", 0, 1.0, 10, f"b{number}")
    queue.add("a", 0, 1.0, 10, "waited for", head_start=100)
    queue.add("a", 0, 1.0, 10, "a6")
    order = [queue.pop() for _ in range(14)]
    assert order[0] == "waited for"
    assert order[-1] == "a6"


def test_flows_that_always_have_a_head_start_are_ahead_by_that_much_and_no_more() -> None:
    queue: FairQueue[str, str] = FairQueue()
    for _ in range(200):
        queue.add("ahead", 0, 1.0, 10, "ahead", head_start=100)
        queue.add("honest", 0, 1.0, 10, "honest")
    had = Counter(queue.pop() for _ in range(200))
    assert had["ahead"] - had["honest"] in range(9, 12)


def test_what_was_popped_is_put_back_only_for_what_is_before_it() -> None:
    queue: FairQueue[str, str] = FairQueue()
    queue.add("a", 0, 1.0, 10, "first")
    assert queue.pop() == "first"
    assert not queue.put_back()
    queue.add("b", 0, 1.0, 10, "second")
    assert not queue.put_back()
    queue.add("b", 0, 1.0, 10, "waited for", head_start=20)
    assert queue.put_back()
    assert [queue.pop() for _ in range(3)] == ["waited for", "first", "second"]


def test_when_nobody_waits_all_flows_are_equal_again() -> None:
    queue: FairQueue[str, str] = FairQueue()
    queue.add("busy", 0, 1.0, 1000, "served")
    queue.pop()
    queue.rest()
    queue.add("busy", 0, 1.0, 10, "first")
    queue.add("other", 0, 1.0, 10, "second")
    assert [queue.pop() for _ in range(2)] == ["first", "second"]


def test_those_that_are_dropped_are_gone_and_the_others_keep_their_places() -> None:
    queue: FairQueue[str, str] = FairQueue()
    places = [queue.add(item[0], 0, 1.0, 1, item) for item in ("a1", "b1", "a2", "b2")]
    queue.remove(places[0])
    queue.remove(places[0])
    assert (len(queue), queue.size, queue.items()) == (3, 3, ["b1", "a2", "b2"])
    assert [queue.pop() for _ in range(3)] == ["b1", "a2", "b2"]
    with pytest.raises(IndexError):
        queue.pop()


def test_what_was_dropped_does_not_come_back_with_what_is_put_back() -> None:
    queue: FairQueue[str, str] = FairQueue()
    first, second = (queue.add(item, 0, 1.0, 1, item) for item in ("a", "b"))
    assert queue.pop() == "a"
    queue.remove(first)
    queue.remove(second)
    assert not queue.put_back()
    queue.add("c", 0, 1.0, 10, "waited for", head_start=20)
    assert queue.put_back()
    assert [queue.pop() for _ in range(2)] == ["waited for", "a"]


def test_the_first_that_passes_is_found_among_others() -> None:
    queue: FairQueue[str, str] = FairQueue()
    places = {}
    for number, passes in enumerate([False, True, False, True]):
        item = f"{passes} {number}"
        places[item] = queue.add(str(number), 0, 1.0, 1, item, passes=passes)
    assert queue.first_passing() == "True 1"
    queue.remove(places["True 1"])
    assert queue.first_passing() == "True 3"
    assert [queue.pop() for _ in range(3)] == ["False 0", "False 2", "True 3"]
    assert queue.first_passing() is None


def test_thousands_are_dropped_without_a_look_at_all_others_for_each() -> None:
    """Two thousand keys on demand that were late together stopped the event loop for more than two seconds."""
    calls = 0

    def counted(frame: object, event: str, argument: object) -> Any:
        nonlocal calls
        calls += event in ("call", "c_call")

    queue: FairQueue[str, int] = FairQueue()
    places = [queue.add(str(number % 7), 0, 1.0, 1, number, passes=True) for number in range(3000)]
    sys.setprofile(counted)
    try:
        for place in places[:-1]:
            queue.remove(place)
    finally:
        sys.setprofile(None)
    assert calls < 20 * 3000
    assert len(queue._heap) + len(queue._passing) < 200
    assert (queue.first_passing(), queue.pop(), len(queue), queue.size) == (2999, 2999, 0, 0)


def test_what_had_its_turn_is_not_kept_among_those_that_pass() -> None:
    """It stayed there for good as long as nobody looked for one that passes: every key on demand left something."""
    queue: FairQueue[str, int] = FairQueue()
    for number in range(1000):
        queue.add(str(number % 7), number % 3, 1.0, 1, number, passes=True, head_start=number % 5)
        if number >= 10:
            queue.pop()
            if queue.put_back():
                queue.pop()
    assert len(queue._passing) <= len(queue) + 64 < 100


def test_flows_that_are_gone_are_forgotten() -> None:
    queue: FairQueue[str, str] = FairQueue()
    for number in range(1000):
        queue.add(f"flow {number}", 0, 1.0, 1, "x")
        queue.pop()
    assert len(queue._flows) <= 1000
    queue.add("last", 0, 1.0, 1, "x")
    for _ in range(3):
        queue.add("last", 0, 1.0, 1, "x")
    while len(queue):
        queue.pop()
    assert len(queue._flows) <= 1
