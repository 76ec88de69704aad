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

    def enter(self, sae: SaeId | None, name: str, takes_s: float = 0.0, kind: bytes = b"") -> None:
        self.turns.enter(sae, partial(self.do, name, takes_s), kind)

    def do(self, name: str, takes_s: float) -> None:
        self.now += takes_s
        self.done.append(name)

    def pass_(self, seconds: float) -> None:
        self.now += seconds

    def commit(self, effect: Callable[[], None]) -> None:
        """When the node does."""
        self.soon.append(lambda: self.soon.append(effect))

    def once(self) -> list[str]:
        self.done.clear()
        callbacks = self.soon.copy()
        self.soon.clear()
        for callback in callbacks:
            callback()
        return self.done.copy()

    def turn(self) -> list[str]:
        """The next one that does something: a long job waits for one or two."""
        return self.once() or self.once() or self.once()


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


def test_what_is_alike_is_done_in_a_row_and_before_what_comes_meanwhile(loop: Loop) -> None:
    loop.turns.enter(HONEST, lambda: loop.enter(HONEST, "late", kind=b"enc_keys"))
    for i in range(3):
        loop.enter(HONEST, f"enc{i}", kind=b"enc_keys")
        loop.enter(HONEST, f"dec{i}", kind=b"dec_keys")
    assert loop.turn() == ["enc0", "enc1", "enc2", "dec0", "dec1", "dec2", "late"]


def test_who_comes_while_much_is_waiting_is_next(loop: Loop) -> None:
    for i in range(100):
        loop.enter(GREEDY, f"g{i}", SLICE_S)
    assert loop.turn() == ["g0"]
    loop.enter(HONEST, "h1", SLICE_S)
    loop.enter(HONEST, "h2")
    assert loop.turn() == ["h1"]
    assert loop.turn() == ["g1"]
    assert loop.turn() == ["h2"]
    assert loop.turn() == ["g2"]


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
    assert loop.turn() == []
    assert loop.soon == []


def test_who_sends_and_never_comes_to_ask_is_noticed_as_well(loop: Loop) -> None:
    loop.enter(HONEST, "h")
    loop.turn()
    loop.pass_(SHARED_FOR_S)
    loop.enter(HONEST, "h")
    loop.turn()
    assert not loop.turns.is_shared_by(HONEST)
    assert loop.turns.is_shared_by(GREEDY)
    assert loop.turns.is_shared_by(HONEST)
    for i in range(20):
        loop.enter(HONEST, f"h{i}", SHARED_SLICE_S / 9.5)
    assert len(loop.turn()) == 10


@pytest.mark.parametrize("commit_s", [SLICE_S / 2, 2 * SLICE_S])
def test_no_slice_is_shorter_than_the_commit_between_them(loop: Loop, commit_s: float) -> None:
    loop.turns.enter(HONEST, lambda: loop.commit(lambda: loop.pass_(commit_s)))
    for i in range(50):
        loop.enter(HONEST, f"h{i}", SLICE_S / 18.5)
    assert [len(loop.turn()) for _ in range(3)] == [2, 2, 10 if commit_s < SLICE_S else 19]


def test_slices_stay_short_however_long_it_takes_to_look_at_sockets(loop: Loop) -> None:
    for i in range(50):
        loop.enter(HONEST, f"h{i}", SHARED_SLICE_S / 1.5)
    for _ in range(3):
        assert len(loop.turn()) == 2
        loop.pass_(SLICE_S)


def test_who_uses_little_waits_for_the_turn_under_way_and_no_more(loop: Loop) -> None:
    for i in range(100):
        loop.enter(GREEDY, f"g{i}", 5 * SLICE_S)
    assert loop.turn() == ["g0"]
    for i in range(20):  # comes again and again, more often than the greedy one's turns are over
        for j in range(2):
            loop.enter(HONEST, f"h{i}{j}", SHARED_SLICE_S / 1.5)
        assert loop.turn() == [f"h{i}0", f"h{i}1"]
    assert loop.turn() == ["g1"]


def test_who_always_waits_has_nothing_for_himself_as_long_as_another_one_asks(loop: Loop) -> None:
    for i in range(100):
        loop.enter(GREEDY, f"g{i}", SHARED_FOR_S / 10)
    assert loop.turn() == ["g0"]
    for i in range(30):
        loop.enter(HONEST, f"h{i}")
        assert [loop.turn(), loop.turn()] == [[f"h{i}"], [f"g{i + 1}"]]
        assert loop.turns.shared


def test_time_is_divided_alike_when_all_want_more_than_there_is(loop: Loop) -> None:
    for _ in range(1000):
        loop.enter(GREEDY, "g", 4 * SHARED_SLICE_S)
        loop.enter(HONEST, "h", SHARED_SLICE_S)
        loop.enter(None, "s", 2 * SHARED_SLICE_S)
    done = [name for _ in range(700) for name in loop.turn()]
    used = {name: cost * done.count(name) for name, cost in (("g", 4), ("h", 1), ("s", 2))}
    assert max(used.values()) - min(used.values()) <= 8


def test_nobody_saves_up_while_he_asks_for_nothing(loop: Loop) -> None:
    loop.enter(HONEST, "h", SHARED_SLICE_S)
    loop.turn()
    for _ in range(100):
        loop.enter(GREEDY, "g", SHARED_SLICE_S)
        loop.turn()
    for _ in range(10):
        loop.enter(GREEDY, "g", SHARED_SLICE_S)
        loop.enter(HONEST, "h", SHARED_SLICE_S)
    done = [name for _ in range(8) for name in loop.turn()]
    assert done.count("g") == 4


def test_no_long_turn_is_begun_before_what_was_asked_is_committed_and_answered(loop: Loop) -> None:
    loop.enter(GREEDY, "g0", 5 * SHARED_SLICE_S)
    loop.turn()

    def ask() -> None:
        loop.done.append("asked")
        loop.commit(lambda: loop.done.append("committed"))

    for n in range(3):
        loop.enter(GREEDY, f"g{2 * n + 1}", SHARED_SLICE_S / 20)
        loop.enter(GREEDY, f"g{2 * n + 2}", 5 * SHARED_SLICE_S)
    loop.turns.enter(HONEST, ask)
    assert [loop.once() for _ in range(3)] == [["asked"], [], ["committed", "g1"]]
    assert [loop.once() for _ in range(4)] == [[], ["g2"], [], ["g3"]]
    assert loop.soon


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
