"""Leases: used only once noted, served in order, asked for ahead."""

import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import ID_KEY_UNITS, Block, OwnedStream, StreamRef
from keyhop.network.leasing import Leasing
from keyhop.network.leasing.demand import MOST_UNITS, READY_UNITS
from keyhop.network.leasing.waiting import Waiting, Want
from keyhop.network.wire import Body, Leased, LeaseNoted
from keyhop.testing.virtual import VirtualClock

LEASE_UNITS = 2048


class Owner:
    """A Leasing with a stream of its own, what it sends, and who was served with how much."""

    def __init__(self) -> None:
        store = MemoryStore()
        self.stream = OwnedStream(StreamRef(KmeId("a"), KmeId("b")), store, Journal(store, lambda: None))
        self.clock = VirtualClock()
        self.sent: list[Body] = []
        self.served: list[tuple[str, int | None]] = []
        self.leasing = Leasing(self.stream, self.clock, self.sent.append)

    def produce(self, units: int) -> None:
        self.stream.append(Block(bytes(units * 8), 32, b"tag", 0.0, "test"))
        self.leasing.stock_changed()

    def wait(self, who: str, units: int, wait_s: float = 10.0) -> None:
        self.leasing.wait(
            8 * units,
            1,
            "delivered",
            self.clock.monotonic() + wait_s,
            lambda taken: self.served.append((who, taken and taken.position)),
        )

    def lease_much(self) -> None:
        """Makes leases as long as `LEASE_UNITS`: one such request of late, and a link that brings enough."""
        self.leasing.demand.took(LEASE_UNITS)
        self.clock.advance(1000.0)
        self.leasing.demand.brought(1 << 20)

    def note(self) -> None:
        told = self.sent[-1]
        assert isinstance(told, Leased)
        self.leasing.noted(LeaseNoted(told.epoch, told.taken))


@pytest.fixture
def owner() -> Owner:
    owner = Owner()
    owner.lease_much()
    owner.leasing.synchronised()
    return owner


def test_a_lease_is_asked_for_ahead_and_usable_only_once_it_is_noted(owner: Owner) -> None:
    owner.produce(LEASE_UNITS * 4)
    (told,) = owner.sent
    assert isinstance(told, Leased)
    assert told.epoch == 1
    assert told.taken >= LEASE_UNITS
    assert owner.leasing.take(8, 1, "delivered") is None
    owner.note()
    taken = owner.leasing.take(8, 1, "delivered")
    assert taken is not None
    assert taken.position == ID_KEY_UNITS


def looks_of(patch: pytest.MonkeyPatch, part: type, name: str) -> list[Want]:
    """At which of those who wait that method looks, from now on."""
    looks: list[Want] = []
    method = getattr(part, name)

    def looked(self: object, want: Want) -> object:
        looks.append(want)
        return method(self, want)

    patch.setattr(part, name, looked)
    return looks


def test_those_who_wait_are_not_looked_through_for_each_who_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three thousand requests within the time that a lease takes took more than four seconds."""
    looks = looks_of(monkeypatch, Leasing, "_needs_only_a_lease")
    owner = Owner()
    owner.leasing.synchronised()
    owner.produce(LEASE_UNITS * 4)
    for number in range(1000):
        owner.wait(str(number), 4)
    assert len(looks) < 20_000
    for _ in range(100):
        owner.note()
    assert len(owner.served) == 1000
    assert len(looks) < 20_000


def test_who_gives_up_his_wait_makes_nobody_look_through_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for two streams does so whenever he is served: a hundred among three thousand took 50 ms."""
    keeps = looks_of(monkeypatch, Waiting, "keep")
    owner = Owner()
    owner.leasing.synchronised()
    pairs = [(SaeId(f"a{number}"), SaeId("b")) for number in range(10)]
    owner.leasing.reserve(1024, pairs, 1 << 20)
    until = owner.clock.monotonic() + 10.0
    cancels = [
        owner.leasing.wait(32, 1, "delivered", until, lambda taken: None, pairs[number % 10]) for number in range(500)
    ]
    for cancel in cancels[:100]:
        cancel()
        cancel()
    assert len(keeps) <= 600
    assert owner.leasing.waiting_units == 400 * 4
    owner.clock.advance(20.0)
    owner.leasing.tick()
    assert owner.leasing.waiting_units == 0


def test_who_gives_up_no_longer_holds_up_what_his_pair_wants_later() -> None:
    owner = Owner()
    owner.leasing.synchronised()
    pair, other = (SaeId("a"), SaeId("b")), (SaeId("a"), SaeId("c"))
    owner.leasing.reserve(8 * 8, [pair, other], 1 << 20)
    served: list[str] = []
    until = owner.clock.monotonic() + 10.0
    big = owner.leasing.wait(8 * 8, 1, "delivered", until, lambda taken: served.append("big"), pair)
    owner.leasing.wait(8, 1, "delivered", until, lambda taken: served.append("small"), pair)
    owner.produce(ID_KEY_UNITS + 8)
    owner.note()
    assert served == []
    big()
    assert served == ["small"]
    owner.leasing.wait(8, 1, "delivered", until, lambda taken: served.append("next"), pair)
    assert served == ["small", "next"]


@pytest.mark.parametrize("how", ["late", "gives up"])
def test_what_was_kept_for_a_pad_that_nobody_waits_for_any_more_is_for_others_at_once(owner: Owner, how: str) -> None:
    """They waited for the next block, which may not come in their time."""
    until, served = owner.clock.monotonic() + 1.0, list[str]()
    pair = (SaeId("a"), SaeId("b"))
    owner.leasing.wait(64, 1, "delivered", until + 9.0, lambda taken: served.append("pair"), pair)
    give_up = owner.leasing.wait(512, 1, "pad", until, lambda taken: None)
    owner.produce(ID_KEY_UNITS + 10)
    owner.note()
    assert served == []
    if how == "late":
        owner.clock.advance(2.0)
        owner.leasing.tick()
    else:
        give_up()
    assert served == ["pair"]


def test_a_note_of_less_or_of_another_epoch_activates_nothing(owner: Owner) -> None:
    owner.produce(LEASE_UNITS * 4)
    (told,) = owner.sent
    assert isinstance(told, Leased)
    owner.leasing.noted(LeaseNoted(1, told.taken - 1))
    owner.leasing.noted(LeaseNoted(0, 1 << 30))
    assert owner.stream.leased_units == 0
    owner.leasing.noted(LeaseNoted(1, told.taken))
    leased = owner.stream.leased_units
    assert leased
    owner.leasing.noted(LeaseNoted(1, told.taken))
    assert owner.stream.leased_units == leased


def test_a_note_that_is_lost_is_asked_for_again(owner: Owner) -> None:
    owner.produce(100)
    first = owner.sent[-1]
    owner.leasing.tick()
    owner.leasing.tick()
    assert owner.sent == [first] * 3
    owner.leasing.interrupted()
    owner.leasing.tick()
    assert owner.sent == [first] * 3
    owner.leasing.synchronised()
    assert owner.sent == [first] * 4


def test_those_who_wait_are_served_in_their_order(owner: Owner) -> None:
    for who, units in (("one", 5), ("two", 1), ("three", 3)):
        owner.wait(who, units)
    owner.produce(1000)
    assert owner.served == []
    owner.note()
    assert owner.served == [("one", 8), ("two", 13), ("three", 14)]


def test_nobody_overtakes_those_who_wait_for_what_there_is(owner: Owner) -> None:
    owner.produce(LEASE_UNITS * 3)
    owner.note()
    owner.wait("big", LEASE_UNITS * 3 - ID_KEY_UNITS - 1)
    assert owner.stream.leased_units
    assert owner.leasing.take(16, 1, "delivered") is None
    owner.wait("small", 2)
    owner.note()
    assert [who for who, _ in owner.served] == ["big"]
    owner.produce(1)
    owner.note()
    assert [who for who, _ in owner.served] == ["big", "small"]


def test_who_takes_what_they_leave_over_overtakes_them(owner: Owner) -> None:
    owner.produce(LEASE_UNITS * 3)
    owner.note()
    owner.wait("big", LEASE_UNITS * 3 - ID_KEY_UNITS - 3)
    assert owner.leasing.take(16, 1, "delivered") is not None
    assert owner.leasing.take(16, 1, "delivered") is None
    assert owner.leasing.take(8, 1, "delivered") is not None
    assert owner.leasing.take(8, 1, "delivered") is None
    owner.note()
    assert [who for who, _ in owner.served] == ["big"]


def test_the_starved_do_not_hold_up_the_others(owner: Owner) -> None:
    owner.wait("starved", 10_000)
    owner.produce(1000)
    owner.note()
    assert owner.leasing.take(8, 1, "delivered") is not None
    owner.wait("small", 1)
    owner.leasing.noted(LeaseNoted(1, owner.stream.taken))
    assert [who for who, _ in owner.served] == ["small"]
    owner.produce(10_000)
    owner.note()
    assert [who for who, _ in owner.served] == ["small", "starved"]


def test_at_the_deadline_the_wait_is_over_and_the_next_is_served(owner: Owner) -> None:
    owner.wait("late", 10, wait_s=1.0)
    owner.clock.advance(0.9)
    owner.leasing.tick()
    assert owner.served == []
    owner.clock.advance(0.1)
    owner.leasing.tick()
    assert owner.served == [("late", None)]
    owner.produce(100)
    owner.note()
    assert owner.served == [("late", None)]
    assert owner.stream.leased_units == 100 - ID_KEY_UNITS


def test_one_who_held_up_others_lets_them_in_by_leaving(owner: Owner) -> None:
    owner.produce(LEASE_UNITS * 3)
    owner.note()
    owner.wait("big", LEASE_UNITS * 3 - ID_KEY_UNITS, wait_s=1.0)
    owner.wait("small", 1, wait_s=5.0)
    assert owner.served == []
    owner.clock.advance(1.0)
    owner.leasing.tick()
    assert [who for who, _ in owner.served] == ["big", "small"]
    assert owner.served[0][1] is None
    assert owner.served[1][1] is not None


def test_a_noted_lease_can_be_used_while_the_follower_is_away(owner: Owner) -> None:
    owner.produce(1000)
    owner.note()
    owner.leasing.interrupted()
    assert owner.leasing.take(8, 1, "delivered") is not None


def test_no_lease_is_made_while_the_follower_is_away(owner: Owner) -> None:
    owner.leasing.interrupted()
    owner.produce(1000)
    owner.wait("one", 1)
    owner.leasing.tick()
    assert owner.sent == []
    assert owner.stream.leased_units == 0


def test_demand_makes_leases_grow(owner: Owner) -> None:
    owner.produce(100 * LEASE_UNITS)
    owner.note()
    for _ in range(3):
        owner.clock.advance(0.05)
        while owner.leasing.take(64, 16, "delivered") is not None and owner.stream.leased_units > 200:
            pass
        owner.note()
    assert owner.stream.leased_units > 2 * LEASE_UNITS


def test_what_a_rush_leaves_is_used_first_and_the_next_lease_is_small_again(owner: Owner) -> None:
    owner.produce(4 * LEASE_UNITS)
    owner.note()
    assert owner.leasing.take(8, LEASE_UNITS // 4, "delivered") is not None
    left = owner.stream.leased_units
    assert left > LEASE_UNITS // 2
    told = len(owner.sent)
    for _ in range((left - READY_UNITS // 2) // 4):
        owner.clock.advance(1.0)
        owner.leasing.tick()
        assert owner.leasing.take(32, 1, "delivered") is not None
        assert len(owner.sent) == told
    owner.clock.advance(1.0)
    assert owner.leasing.take(32, 1, "delivered") is not None
    assert len(owner.sent) == told + 1
    owner.note()
    assert owner.stream.leased_units <= READY_UNITS


def test_a_new_lease_is_asked_for_when_less_than_half_is_left(owner: Owner) -> None:
    owner.produce(4 * LEASE_UNITS)
    owner.note()
    told = len(owner.sent)
    for left in (1536, 1024, 512, 256):
        owner.clock.advance(1000.0)
        assert owner.leasing.take(8, owner.stream.leased_units - left, "delivered") is not None
        assert len(owner.sent) == told
    owner.clock.advance(1000.0)
    assert owner.leasing.take(8, 256, "delivered") is not None
    assert len(owner.sent) == told + 1


def test_after_the_seal_nothing_is_taken_and_nobody_waits(owner: Owner) -> None:
    owner.produce(1000)
    owner.note()
    assert owner.leasing.take(8, 3, "delivered") is not None
    owner.wait("starved", 10_000)
    assert owner.leasing.seal() == (ID_KEY_UNITS + 3, 1000)
    assert owner.served == [("starved", None)]
    assert owner.leasing.take(8, 1, "delivered") is None
    owner.wait("later", 1)
    assert owner.served == [("starved", None), ("later", None)]
    assert owner.leasing.seal() is None
    assert owner.stream.ledger.balances(owner.stream.available_bytes)


def test_a_lease_that_was_sealed_before_it_was_noted_is_not_used(owner: Owner) -> None:
    owner.produce(1000)
    told = owner.sent[-1]
    assert owner.leasing.seal() == (ID_KEY_UNITS, 1000)
    assert isinstance(told, Leased)
    owner.leasing.noted(LeaseNoted(told.epoch, told.taken))
    assert owner.stream.leased_units == 0


def test_leases_of_a_closed_epoch_are_gone(owner: Owner) -> None:
    owner.produce(1000)
    told = owner.sent[-1]
    owner.stream.close_epoch(2)
    owner.leasing.epoch_closed()
    assert isinstance(told, Leased)
    owner.leasing.noted(LeaseNoted(told.epoch, told.taken))
    assert owner.stream.leased_units == 0
    owner.produce(1000)
    assert owner.sent[-1] == Leased(2, 1000)


def test_while_the_follower_is_away_one_who_needs_a_new_lease_does_not_hold_up_others(owner: Owner) -> None:
    owner.produce(LEASE_UNITS * 8)
    owner.note()
    owner.leasing.interrupted()
    owner.wait("big", owner.stream.leased_units + 1)
    assert owner.stream.available_units
    assert owner.leasing.take(8, 1, "delivered") is not None


def test_one_who_cannot_be_served_does_not_move_the_whole_stock_into_the_lease(owner: Owner) -> None:
    owner.produce(LEASE_UNITS * 8)
    owner.note()
    owner.wait("huge", LEASE_UNITS * 100)
    assert owner.leasing.take(8 * LEASE_UNITS // 2, 1, "delivered") is not None
    owner.note()
    assert owner.stream.available_units > LEASE_UNITS * 4


def test_many_who_wait_are_served_lease_by_lease(owner: Owner) -> None:
    owner.produce(16 * MOST_UNITS)
    owner.note()
    for _ in range(20):
        owner.wait("one of many", MOST_UNITS // 2)
    owner.wait("huge", 3 * MOST_UNITS)
    had, longest = owner.stream.taken, 0
    while len(owner.served) < 20:
        longest = max(longest, owner.stream.taken - had)
        had = owner.stream.taken
        owner.note()
    assert longest <= 2 * MOST_UNITS
    owner.note()
    assert [who for who, taken in owner.served if taken] == ["one of many"] * 20 + ["huge"]
