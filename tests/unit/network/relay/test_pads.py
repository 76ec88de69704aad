"""Pads of one direct stream: who waits, in which order, until when."""

from functools import partial

import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import ID_KEY_UNITS, Block, OwnedStream, StreamRef
from keyhop.core.units import units_for
from keyhop.network.leasing import Leasing
from keyhop.network.relay import pads
from keyhop.network.relay.pads import Pads, Standing
from keyhop.network.relay.parcels import Flow
from keyhop.network.sealing import MAC_KEY_BYTES
from keyhop.network.wire import Body, Leased, LeaseNoted
from keyhop.testing.virtual import VirtualClock

PAD = 200 - MAC_KEY_BYTES


def flow(source: str, priority: int = 4) -> Flow:
    return Flow(KmeId(source), KmeId(source), KmeId("z"), priority)


def standing(flow: Flow) -> Standing:
    return Standing(min(flow.priority, 5 if flow.source == "foreign" else 7), {"heavy": 3.0}.get(flow.source, 1.0))


class Padded:
    """A direct stream whose follower notes every lease at once."""

    def __init__(self) -> None:
        store = MemoryStore()
        self.stream = OwnedStream(StreamRef(KmeId("a"), KmeId("b")), store, Journal(store, lambda: None))
        self.clock = VirtualClock()
        self._told: list[Leased] = []
        self.leasing = Leasing(self.stream, self.clock, self._hear)
        self.leasing.synchronised()
        self.pads = Pads(self.leasing, self.clock, standing)
        self.served: list[str] = []
        self.produce(8 * ID_KEY_UNITS)

    def _hear(self, body: Body) -> None:
        assert isinstance(body, Leased)
        self._told.append(body)

    def produce(self, size_bytes: int) -> None:
        self.stream.append(Block(bytes(size_bytes), 32, b"tag", 0.0, "test"))
        self.leasing.stock_changed()
        while self._told:
            told = self._told.pop()
            self.leasing.noted(LeaseNoted(told.epoch, told.taken))

    def ask(self, name: str, of: Flow, within_s: float = 1e9) -> None:
        def use(taken: object) -> None:
            self.served.append(name if taken else f"no {name}")

        self.pads.take(of, PAD, self.clock.monotonic() + within_s, use)


@pytest.fixture
def padded() -> Padded:
    return Padded()


def test_flows_take_turns_however_much_one_of_them_asks_for(padded: Padded) -> None:
    for _ in range(20):
        padded.ask("greedy", flow("greedy"))
    padded.ask("honest", flow("honest"))
    padded.produce(600)
    assert padded.served == ["greedy", "honest", "greedy"]


def test_a_heavy_flow_has_its_part(padded: Padded) -> None:
    for _ in range(12):
        padded.ask("light", flow("light"))
        padded.ask("heavy", flow("heavy"))
    padded.produce(8 * 200)
    assert padded.served.count("heavy") in (5, 6)


def test_a_higher_priority_does_not_wait_behind_others(padded: Padded) -> None:
    padded.ask("first", flow("x", 1))
    padded.ask("second", flow("x", 1))
    padded.ask("urgent", flow("y", 7))
    padded.produce(600)
    assert padded.served == ["urgent", "first", "second"]


def test_a_source_has_no_higher_priority_than_it_may_have(padded: Padded) -> None:
    padded.ask("first", flow("x", 6))
    padded.ask("foreign", flow("foreign", 7))
    padded.ask("second", flow("x", 6))
    padded.produce(600)
    assert padded.served == ["first", "second", "foreign"]


def test_who_waits_too_long_is_told_and_the_others_go_on(padded: Padded) -> None:
    padded.ask("one", flow("x"), 5.0)
    padded.ask("two", flow("x"), 1.0)
    padded.ask("three", flow("x"))
    padded.clock.advance(2.0)
    padded.pads.tick()
    assert padded.served == ["no two"]
    padded.clock.advance(4.0)
    padded.leasing.tick()
    padded.pads.tick()
    assert padded.served == ["no two", "no one"]
    padded.produce(200)
    assert padded.served == ["no two", "no one", "three"]


def test_half_of_what_comes_is_for_all_pads_that_wait_while_saes_lack(padded: Padded) -> None:
    padded.leasing.reserve(8000, [(SaeId("x"), SaeId("y"))], 1 << 20)
    for number in range(4):
        padded.ask(f"{number}", flow("x"))
    padded.produce(2 * 4 * 200)
    assert padded.served == ["0", "1", "2", "3"]
    assert padded.leasing.entitled_units((SaeId("x"), SaeId("y"))) == units_for(4 * 200)


def test_who_waits_no_longer_has_nothing_kept_for_him(padded: Padded) -> None:
    padded.leasing.reserve(8000, [(SaeId("x"), SaeId("y"))], 1 << 20)
    for _ in range(2):
        padded.ask("impatient", flow("x"), 1.0)
    padded.clock.advance(2.0)
    padded.pads.tick()
    padded.leasing.tick()
    padded.produce(400)
    assert padded.leasing.entitled_units((SaeId("x"), SaeId("y"))) == units_for(400)


def _note(served: list[int], number: int, taken: object) -> None:
    served.append(number)


@pytest.mark.parametrize("which", [0, 1])
def test_who_was_cancelled_takes_nothing(padded: Padded, which: int) -> None:
    served: list[int] = []
    cancels = [padded.pads.take(flow("x"), PAD, 1e9, partial(_note, served, number)) for number in range(2)]
    cancels[which]()
    cancels[which]()
    padded.produce(400)
    assert served == [1 - which]
    assert padded.stream.used_units == 200 // 8


def test_when_the_stream_is_sealed_everybody_is_told(padded: Padded) -> None:
    for name in ("a", "b", "c"):
        padded.ask(name, flow(name))
    padded.leasing.abandon()
    assert padded.served == ["no a", "no b", "no c"]


def test_all_who_wait_are_served_however_many_get_theirs_at_once(padded: Padded) -> None:
    number = 2000
    for index in range(number):
        padded.ask(str(index), flow("source"))
    padded.leasing.demand.took(units_for(PAD + MAC_KEY_BYTES) * number)
    padded.produce(1 << 20)
    assert padded.served == [str(index) for index in range(number)]


def test_when_too_many_wait_the_flow_with_most_of_them_makes_room(
    padded: Padded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pads, "MAX_WAITING", 4)
    for index in range(6):
        padded.ask(f"greedy {index}", flow("greedy"))
    padded.ask("honest", flow("honest"))
    padded.ask("greedy 6", flow("greedy"))
    assert padded.served == ["no greedy 5", "no greedy 4", "no greedy 6"]
    padded.produce(1 << 16)
    assert sorted(padded.served[3:]) == ["greedy 0", "greedy 1", "greedy 2", "greedy 3", "honest"]
