"""The pacing of a source: no sequence twice, none from the past, no unbounded catching up."""

from hypothesis import given
from hypothesis import strategies as st

from keyhop.link.pacing import MAX_CATCH_UP, Pacer

WALL = 1_700_000_000.0


@given(
    interval_s=st.floats(0.001, 10.0),
    after=st.integers(-1, 10**12),
    steps=st.lists(st.floats(-100.0, 100.0), max_size=50),
)
def test_sequences_rise_strictly_whatever_the_clock_does(interval_s: float, after: int, steps: list[float]) -> None:
    pacer, wall, last = Pacer(interval_s, after=after), WALL, after
    pacer.start(wall)
    for step in steps:
        wall += step
        due = pacer.due(wall)
        assert len(due) <= MAX_CATCH_UP
        if due:
            assert due[0] > last
            assert wall - pacer.produced_at(due[-1]) < interval_s * 1.001
            last = due[-1]


def test_what_was_due_at_the_start_is_not_emitted() -> None:
    pacer = Pacer(2.0)
    pacer.start(100.0)
    assert list(pacer.due(101.9)) == []
    assert pacer.wait_s(101.5) == 0.5
    assert list(pacer.due(102.0)) == [51]
    assert list(pacer.due(102.0)) == []


def test_a_later_start_forgets_what_came_due_in_between() -> None:
    pacer = Pacer(1.0)
    pacer.start(10.0)
    pacer.start(20.0)
    assert list(pacer.due(22.5)) == [21, 22]


def test_a_start_with_the_clock_behind_does_not_go_back() -> None:
    pacer = Pacer(1.0)
    pacer.start(10.0)
    assert list(pacer.due(12.0)) == [11, 12]
    pacer.start(5.0)
    assert list(pacer.due(12.5)) == []
    assert pacer.wait_s(5.0) == 8.0
    assert list(pacer.due(13.0)) == [13]


def test_after_a_stall_the_newest_are_kept() -> None:
    pacer = Pacer(1.0)
    pacer.start(0.0)
    due = pacer.due(1000.0)
    assert (len(due), due[-1]) == (MAX_CATCH_UP, 1000)
