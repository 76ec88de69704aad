"""Delivery windows: nothing is given out before the owner knows the mark."""

import pytest

from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import FollowedStream, StreamRef
from keyhop.network.windows import EXPECTED_S, WAIT_S, WINDOW_S, Windows
from keyhop.network.wire import Body, Mark, MarkNoted
from keyhop.testing.virtual import VirtualClock


class Door:
    """A Windows with what it sends and whom it lets in."""

    def __init__(self) -> None:
        store = MemoryStore()
        self.stream = FollowedStream(StreamRef(KmeId("a"), KmeId("b")), store, Journal(store, lambda: None))
        self.clock = VirtualClock()
        self.sent: list[Body] = []
        self.inside: list[str] = []
        self.late: list[str] = []
        self.windows = Windows(self.stream, self.clock, self.sent.append)

    def enter(self, who: str) -> None:
        self.windows.enter(lambda: self.inside.append(who), lambda: self.late.append(who))

    def open(self) -> None:
        self.windows.synchronised()
        self.enter("opener")
        self.windows.noted(MarkNoted(self.stream.mark))
        self.sent.clear()
        self.inside.clear()


@pytest.fixture
def door() -> Door:
    return Door()


def test_it_is_ready_once_marks_were_compared_and_stays_so(door: Door) -> None:
    ready = [door.windows.ready]
    door.windows.synchronised()
    ready.append(door.windows.ready)
    door.windows.interrupted()
    ready.append(door.windows.ready)
    assert ready == [False, True, True]


def test_the_first_waits_until_the_owner_has_noted_the_mark(door: Door) -> None:
    door.windows.synchronised()
    door.enter("first")
    door.enter("second")
    assert door.inside == []
    assert door.sent == [Mark(1)]
    door.windows.noted(MarkNoted(1))
    assert door.inside == ["first", "second"]


def test_within_the_window_entry_is_free(door: Door) -> None:
    door.open()
    door.clock.advance(WINDOW_S * 0.9)
    door.enter("late")
    assert door.inside == ["late"]
    assert door.sent == []


def test_after_the_window_a_greater_mark_is_needed(door: Door) -> None:
    door.open()
    mark = door.stream.mark
    door.clock.advance(WINDOW_S)
    door.enter("later")
    assert door.inside == []
    assert door.sent == [Mark(mark + 1)]


def test_the_window_counts_from_the_question_not_from_the_answer(door: Door) -> None:
    door.windows.synchronised()
    door.enter("first")
    door.clock.advance(WINDOW_S)
    door.windows.noted(MarkNoted(1))
    assert door.inside == ["first"]
    door.enter("second")
    assert door.inside == ["first"]


def test_an_answer_about_another_mark_opens_nothing(door: Door) -> None:
    door.open()
    mark = door.stream.mark
    door.clock.advance(WINDOW_S)
    door.enter("later")
    door.windows.noted(MarkNoted(mark))
    door.windows.noted(MarkNoted(mark + 2))
    assert door.inside == []


def test_an_answer_that_nobody_asked_for_opens_nothing(door: Door) -> None:
    door.open()
    door.clock.advance(WINDOW_S)
    door.windows.noted(MarkNoted(door.stream.mark))
    door.enter("later")
    assert door.inside == []


def test_a_question_without_answer_is_asked_again(door: Door) -> None:
    door.windows.synchronised()
    door.enter("first")
    door.windows.tick()
    assert door.sent == [Mark(1), Mark(1)]


def test_while_the_owner_is_away_delivery_goes_on(door: Door) -> None:
    door.windows.synchronised()
    door.enter("waiting")
    door.windows.interrupted()
    assert door.inside == ["waiting"]
    door.enter("another")
    assert door.inside == ["waiting", "another"]


def fail() -> None:
    raise IndexError("a mistake of ours")


@pytest.mark.parametrize("opens", [False, True])
def test_one_whose_delivery_fails_leaves_nobody_outside(door: Door, opens: bool) -> None:
    door.windows.synchronised()
    door.enter("before")
    door.windows.enter(fail, fail)
    door.enter("behind")
    if opens:
        door.windows.noted(MarkNoted(door.stream.mark))
    else:
        door.windows.interrupted()
    assert door.inside == ["before", "behind"]


@pytest.mark.parametrize("doubted", [False, True])
def test_one_that_cannot_be_told_that_it_is_late_leaves_nobody_waiting(door: Door, doubted: bool) -> None:
    door.windows.synchronised()
    door.enter("before")
    door.windows.enter(fail, fail)
    door.enter("behind")
    if doubted:
        door.windows.doubted()
    else:
        door.sent.clear()
        door.clock.advance(WAIT_S)
        door.windows.tick()
        assert door.sent == [Mark(1)]
    assert door.late == ["before", "behind"]
    assert door.inside == []


def test_when_the_owner_is_back_it_is_told_of_what_was_delivered_meanwhile(door: Door) -> None:
    door.open()
    mark = door.stream.mark
    door.windows.interrupted()
    door.enter("meanwhile")
    door.windows.synchronised()
    assert door.sent == [Mark(mark + 1)]
    door.windows.tick()
    assert door.sent == [Mark(mark + 1)] * 2


def test_a_window_that_was_used_is_ended_at_the_owner_too(door: Door) -> None:
    door.open()
    mark = door.stream.mark
    door.clock.advance(WINDOW_S * 0.8)
    door.windows.tick()
    assert door.sent == []
    door.enter("someone")
    door.clock.advance(WINDOW_S * 0.2)
    door.windows.tick()
    assert door.sent == [Mark(mark + 1)]
    door.windows.noted(MarkNoted(mark + 1))
    door.clock.advance(WINDOW_S)
    door.windows.tick()
    assert door.sent == [Mark(mark + 1)]


def test_the_next_window_opens_before_the_last_one_is_over(door: Door) -> None:
    door.open()
    mark = door.stream.mark
    door.clock.advance(WINDOW_S * 0.95)
    door.windows.tick()
    assert door.sent == [Mark(mark + 1)]
    door.windows.noted(MarkNoted(mark + 1))
    door.clock.advance(WINDOW_S * 0.5)
    door.enter("afterwards")
    assert door.inside == ["afterwards"]


def test_what_is_delivered_after_the_question_has_a_greater_mark_follow_it(door: Door) -> None:
    """A copy that was made after the question, and before the delivery, holds the mark that was asked for."""
    door.open()
    mark = door.stream.mark
    door.clock.advance(WINDOW_S * 0.95)
    door.windows.tick()
    door.enter("within the old window")
    assert door.inside == ["within the old window"]
    door.windows.noted(MarkNoted(mark + 1))
    door.clock.advance(WINDOW_S)
    door.windows.tick()
    assert door.sent == [Mark(mark + 1), Mark(mark + 2)]


def test_the_longer_an_answer_takes_the_earlier_the_next_window_is_asked_for(door: Door) -> None:
    door.windows.synchronised()
    door.enter("first")
    door.clock.advance(WINDOW_S * 0.15)
    door.windows.noted(MarkNoted(1))
    door.clock.advance(WINDOW_S * 0.45)
    door.windows.tick()
    assert door.sent == [Mark(1), Mark(2)]


def test_while_somebody_is_expected_there_is_a_window_and_no_longer(door: Door) -> None:
    door.open()
    door.clock.advance(60.0)
    door.windows.tick()
    door.windows.noted(MarkNoted(door.stream.mark))
    door.clock.advance(60.0)
    door.sent.clear()
    door.windows.expect()
    door.windows.expect()
    assert door.sent == [Mark(door.stream.mark)]
    door.windows.noted(MarkNoted(door.stream.mark))
    door.clock.advance(WINDOW_S * 0.9)
    door.enter("expected")
    assert door.inside == ["expected"]
    for _ in range(3 * int(EXPECTED_S)):
        door.windows.tick()
        door.windows.noted(MarkNoted(door.stream.mark))
        door.clock.advance(WINDOW_S)
    assert len(door.sent) == pytest.approx(EXPECTED_S, abs=2)


def test_a_new_session_closes_the_window(door: Door) -> None:
    door.open()
    door.windows.interrupted()
    door.windows.synchronised()
    door.enter("early")
    assert door.inside == []
