"""SAEs that take turns: a loop that the test turns by hand, jobs that take virtual time."""

from collections.abc import Callable
from functools import partial

import pytest

from keyhop.core.ids import SaeId
from keyhop.service.etsi014.turns import SHARED_FOR_S, SHARED_SLICE_S, SLICE_S, Turns

GREEDY, HONEST = SaeId("greedy"), SaeId("honest")


class Loop:
    """Does in one turn what was asked for before it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.soon: list[Callable[[], None]] = []
        self.done: list[str] = []
        self.turns = Turns(self.soon.append, lambda: self.now)

    def enter(self, sae: SaeId | None, name: str, takes_s: float = 0.0) -> None:
        self.turns.enter(sae, partial(self.do, name, takes_s))

    def do(self, name: str, takes_s: float) -> None:
        self.now += takes_s
        self.done.append(name)

    def turn(self) -> list[str]:
        self.done.clear()
        callbacks = self.soon.copy()
        self.soon.clear()
        for callback in callbacks:
            callback()
        return self.done.copy()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_nothing_is_done_before_the_sockets_are_read(loop: Loop) -> None:
    loop.enter(HONEST, "h1")
    assert loop.done == []
    assert loop.turn() == ["h1"]
    assert loop.turn() == []


def test_each_sae_has_one_request_in_each_round(loop: Loop) -> None:
    for name in ("g1", "g2", "g3"):
        loop.enter(GREEDY, name)
    loop.enter(HONEST, "h1")
    loop.enter(None, "stranger")
    loop.enter(HONEST, "h2")
    assert loop.turn() == ["g1", "h1", "stranger", "g2", "h2", "g3"]


def test_who_comes_while_much_is_waiting_is_next(loop: Loop) -> None:
    for i in range(100):
        loop.enter(GREEDY, f"g{i}", SLICE_S)
    assert loop.turn() == ["g0"]
    loop.enter(HONEST, "h1", SLICE_S)
    loop.enter(HONEST, "h2")
    assert loop.turn() == ["h1"]
    assert loop.turn() == ["g1"]
    assert loop.turn() == ["h2", "g2"]


@pytest.mark.parametrize("slice_s", [SLICE_S, SHARED_SLICE_S])
def test_a_slice_holds_many_short_jobs_and_fewer_when_others_ask(loop: Loop, slice_s: float) -> None:
    loop.enter(HONEST, "h")
    loop.turn()
    assert loop.turns.shared
    if slice_s == SLICE_S:
        loop.now += SHARED_FOR_S
    for i in range(20):
        loop.enter(HONEST, f"h{i}", slice_s / 9.5)
    assert len(loop.turn()) == 10
    assert loop.turns.shared is (slice_s != SLICE_S)
    assert len(loop.turn()) == 10
    assert loop.soon == []


@pytest.mark.parametrize("between_s", [SLICE_S / 2, 2 * SLICE_S])
def test_no_slice_is_shorter_than_what_is_done_between_them(loop: Loop, between_s: float) -> None:
    for i in range(50):
        loop.enter(HONEST, f"h{i}", SLICE_S / 18.5)
    loop.turn()
    loop.now += between_s
    assert len(loop.turn()) == (10 if between_s < SLICE_S else 19)


def test_a_job_may_bring_another(loop: Loop) -> None:
    loop.enter(GREEDY, "g1")
    loop.turns.enter(HONEST, lambda: loop.enter(HONEST, "h2"))
    loop.enter(HONEST, "h3")
    assert loop.turn() == ["g1", "h3", "h2"]


def test_a_job_that_fails_holds_up_nobody(loop: Loop) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    loop.turns.enter(GREEDY, fail)
    loop.enter(HONEST, "h1")
    with pytest.raises(ZeroDivisionError):
        loop.turn()
    assert loop.turn() == ["h1"]
