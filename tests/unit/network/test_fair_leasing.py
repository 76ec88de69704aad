"""Who may take what, where bytes are leased: floors, those who wait, and those whom they hold up."""

import pytest

from keyhop.core.ids import KmeId, SaeId, SaePair
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import ID_KEY_UNITS, Block, OwnedStream, StreamRef
from keyhop.network.leasing import Leasing
from keyhop.network.wire import Body, Leased, LeaseNoted
from keyhop.testing.virtual import VirtualClock

GREEDY: SaePair = (SaeId("greedy"), SaeId("slave"))
HONEST: SaePair = (SaeId("honest"), SaeId("slave"))
BOTH = (GREEDY, HONEST)
A_HUNDRED = (*BOTH, *((SaeId(f"other {n}"), SaeId("slave")) for n in range(98)))
NEW: SaePair = (SaeId("new"), SaeId("slave"))
FLOOR = 64


class Shared:
    """A stream that two pairs share, of a follower that notes every lease at once unless told otherwise."""

    def __init__(self, pairs: tuple[SaePair, ...] = BOTH, stock_units: int = 1 << 20) -> None:
        store = MemoryStore()
        self.stream = OwnedStream(StreamRef(KmeId("a"), KmeId("b")), store, Journal(store, lambda: None))
        self.clock = VirtualClock()
        self.told: list[Leased] = []
        self.notes = True
        self.served: list[str] = []
        self.leasing = Leasing(self.stream, self.clock, self._hear)
        self.leasing.reserve(8 * FLOOR, pairs, 8 * stock_units)
        self.leasing.synchronised()
        self.produce(ID_KEY_UNITS)

    def _hear(self, body: Body) -> None:
        assert isinstance(body, Leased)
        self.told.append(body)

    def note(self) -> None:
        while self.told:
            told = self.told.pop()
            self.leasing.noted(LeaseNoted(told.epoch, told.taken))

    def produce(self, units: int) -> None:
        self.stream.append(Block(bytes(units * 8), 32, b"tag", 0.0, "test"))
        self.leasing.stock_changed()
        if self.notes:
            self.note()

    def ask(self, pair: SaePair | None, units: int) -> bool:
        """Whether it is served, at most after a lease."""
        outcomes: list[bool] = []
        deadline = self.clock.monotonic() + 1.0
        self.leasing.wait(8 * units, 1, "delivered", deadline, lambda taken: outcomes.append(taken is not None), pair)
        if self.notes:
            self.note()
        if not outcomes:
            self.clock.advance(1.0)
            self.leasing.tick()
        (outcome,) = outcomes
        return outcome

    def wait(self, who: str, pair: SaePair, units: int) -> None:
        deadline = self.clock.monotonic() + 10.0
        self.leasing.wait(
            8 * units, 1, "delivered", deadline, lambda taken: self.served.append(who if taken else "nobody"), pair
        )
        if self.notes:
            self.note()


@pytest.fixture
def shared() -> Shared:
    return Shared()


def test_a_greedy_pair_empties_what_is_common_and_its_own_floor_and_no_more(shared: Shared) -> None:
    shared.produce(1000)
    had = sum(shared.ask(GREEDY, 8) for _ in range(1000))
    assert had == (1000 - FLOOR) // 8
    assert shared.leasing.entitled_units(GREEDY) < 8
    assert shared.leasing.entitled_units(HONEST) == FLOOR
    assert shared.leasing.is_kept_from(GREEDY, 64, 1)
    assert not shared.leasing.is_kept_from(GREEDY, 8000, 1)
    assert all(shared.ask(HONEST, 8) for _ in range(FLOOR // 8))
    assert not shared.leasing.is_kept_from(GREEDY, 64, 1)


def test_uses_without_a_pair_take_what_is_common(shared: Shared) -> None:
    shared.produce(2 * FLOOR)
    assert not shared.ask(None, 1)
    shared.produce(10)
    assert shared.ask(None, 10)
    assert not shared.ask(None, 1)


def test_leased_bytes_are_kept_for_those_they_are_reserved_for(shared: Shared) -> None:
    shared.produce(2 * FLOOR)
    shared.leasing.demand.took(1 << 20)
    shared.produce(1)
    assert shared.stream.leased_units == 2 * FLOOR + 1
    assert sum(shared.ask(GREEDY, 1) for _ in range(1000)) == FLOOR + 1
    assert shared.leasing.take(8 * FLOOR, 1, "delivered", HONEST) is not None


def test_one_who_waits_for_its_floor_holds_up_nobody_else(shared: Shared) -> None:
    shared.produce(2 * FLOOR)
    shared.wait("greedy", GREEDY, FLOOR)
    assert shared.served == ["greedy"]
    shared.wait("greedy again", GREEDY, FLOOR)
    assert shared.ask(HONEST, 8)
    assert shared.served == ["greedy"]
    shared.produce(2 * FLOOR + 8)
    assert shared.served == ["greedy", "greedy again"]


def test_half_of_what_comes_is_for_those_who_wait() -> None:
    shared = Shared(A_HUNDRED)
    shared.wait("one of a hundred", GREEDY, 8)
    shared.produce(16)
    assert shared.served == ["one of a hundred"]


def test_who_asks_first_does_not_wait_until_there_is_something_for_everybody() -> None:
    shared = Shared(A_HUNDRED)
    shared.produce(16)
    shared.wait("one of a hundred", GREEDY, 8)
    assert shared.served == ["one of a hundred"]


def test_within_a_pair_nobody_overtakes(shared: Shared) -> None:
    """Else the later ones would keep the floor from ever holding enough for the first."""
    shared.produce(2 * FLOOR)
    assert shared.ask(GREEDY, FLOOR)
    shared.wait("first", GREEDY, FLOOR // 2)
    for _ in range(FLOOR // 2):
        shared.wait("later", GREEDY, 1)
        shared.produce(1)
    assert shared.served[0] == "first"


def test_one_who_wants_more_than_a_floor_holds_up_nobody(shared: Shared) -> None:
    shared.produce(2 * FLOOR + 10)
    shared.wait("huge", GREEDY, 5 * FLOOR)
    assert shared.ask(GREEDY, 10)
    assert shared.ask(HONEST, 10)
    shared.produce(10 * FLOOR)
    assert shared.served == ["huge"]


def test_one_whose_bytes_only_have_to_be_leased_is_not_overtaken(shared: Shared) -> None:
    shared.produce(6 * FLOOR)  # both floors, and what is waited for
    shared.notes = False
    shared.wait("first", GREEDY, 4 * FLOOR)
    shared.wait("second", HONEST, 1)
    assert shared.leasing.take(8, 1, "delivered", HONEST) is None
    shared.note()
    assert shared.served == ["first", "second"]


def test_what_those_who_wait_for_a_lease_leave_over_others_may_take_at_once(shared: Shared) -> None:
    shared.leasing.demand.took(4 * FLOOR)  # so that there is more in a lease than what is waited for
    shared.produce(4 * FLOOR)
    shared.notes = False
    shared.produce(20 * FLOOR)
    leased = shared.stream.leased_units
    shared.wait("first", GREEDY, leased + FLOOR)
    shared.wait("second", GREEDY, leased + FLOOR)
    assert shared.told
    passed = 0
    while shared.leasing.take(8, 1, "delivered", HONEST) is not None:
        passed += 1
    assert 0 < passed <= leased
    shared.told = shared.told[-1:]
    shared.note()
    assert shared.served == ["first", "second"]


def test_one_who_waits_for_a_lease_holds_up_nobody_once_the_follower_is_away(shared: Shared) -> None:
    shared.produce(10 * FLOOR)
    shared.notes = False
    shared.wait("first", GREEDY, 4 * FLOOR)
    shared.wait("second", HONEST, 1)
    shared.leasing.interrupted()
    assert shared.served == ["second"]


def test_lost_stock_is_lost_for_all_alike(shared: Shared) -> None:
    shared.produce(2 * FLOOR)
    assert shared.ask(GREEDY, FLOOR)
    shared.stream.close_epoch(2)
    shared.leasing.epoch_closed()
    assert shared.leasing.entitled_units(HONEST) == 0
    shared.produce(ID_KEY_UNITS + 10)
    assert [shared.leasing.entitled_units(pair) for pair in (GREEDY, HONEST)] == [5, 5]


def test_a_floor_counts_what_a_start_finds_in_the_store() -> None:
    store = MemoryStore()
    journal = Journal(store, lambda: None)
    OwnedStream(StreamRef(KmeId("a"), KmeId("b")), store, journal).append(Block(bytes(8008), 32, b"tag", 0.0, "test"))
    journal.flush()
    stream = OwnedStream(StreamRef(KmeId("a"), KmeId("b")), store, journal)
    leasing = Leasing(stream, VirtualClock(), lambda _: None)
    leasing.reserve(8 * FLOOR, BOTH, 1 << 20)
    assert leasing.entitled_units(HONEST) == stream.available_units - FLOOR


def test_half_of_the_stock_is_reserved_at_most() -> None:
    shared = Shared(A_HUNDRED, stock_units=1000)
    shared.produce(1000)
    assert shared.leasing.entitled_units(HONEST) == 500 + 5
    shared.leasing.reserve(8 * FLOOR, BOTH, 8000)
    assert shared.leasing.entitled_units(HONEST) == 1000 - FLOOR
    shared.leasing.reserve(0, BOTH, 8000)
    assert shared.leasing.entitled_units(HONEST) == 1000


def test_a_reload_that_changes_nothing_leaves_floors_as_they_are(shared: Shared) -> None:
    shared.produce(2 * FLOOR)
    assert shared.ask(GREEDY, FLOOR)
    shared.leasing.reserve(8 * FLOOR, BOTH, 8 << 20)
    assert shared.leasing.entitled_units(GREEDY) == 0


def test_a_reload_that_swaps_an_sae_gives_the_new_one_its_part_and_the_old_one_none(shared: Shared) -> None:
    shared.produce(2 * FLOOR)
    assert shared.ask(GREEDY, FLOOR)
    assert not shared.ask(GREEDY, 1)
    assert not shared.ask(HONEST, FLOOR + 1)
    shared.leasing.reserve(8 * FLOOR, (GREEDY, NEW), 8 << 20)
    assert [shared.leasing.entitled_units(pair) for pair in (GREEDY, HONEST, NEW)] == [FLOOR // 2, 0, FLOOR // 2]
    assert shared.ask(NEW, FLOOR // 2)
    assert not shared.ask(HONEST, 1)


def test_who_waits_is_served_when_a_reload_takes_the_reservation_away(shared: Shared) -> None:
    shared.produce(2 * FLOOR)
    shared.wait("greedy", GREEDY, 2 * FLOOR)
    assert not shared.served
    shared.leasing.reserve(0, BOTH, 8 << 20)
    shared.note()
    assert shared.served == ["greedy"]


def test_a_pad_is_found_although_floors_have_room_and_a_greedy_pair_asks_without_end(shared: Shared) -> None:
    pads: list[bool] = []
    shared.leasing.wait(8 * 40, 1, "pad", 1e9, lambda taken: pads.append(taken is not None))
    for turn in range(40):
        shared.wait(f"greedy {turn}", GREEDY, 8)
    for _ in range(20):
        shared.produce(4)
    assert pads == [True]
    assert shared.leasing.entitled_units(HONEST) == 20, "half of the other half is kept for who has not asked"
    assert shared.served == ["greedy 0", "greedy 1"]


def test_who_waits_no_longer_holds_up_nobody_and_takes_nothing(shared: Shared) -> None:
    cancel = shared.leasing.wait(8 * 4000, 1, "pad", 1e9, lambda taken: pytest.fail("it was cancelled"))
    shared.produce(1000)
    cancel()
    cancel()
    assert shared.ask(HONEST, 8)
    assert shared.leasing.entitled_units(HONEST) == 1000 - 8 - FLOOR
