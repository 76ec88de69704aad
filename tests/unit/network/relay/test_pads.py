"""Pads of one direct stream: who waits, in which order, until when."""

from functools import partial

import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import ID_KEY_UNITS, Block, OwnedStream, StreamRef
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.network.leasing import Leasing
from keyhop.network.relay import pads
from keyhop.network.relay.messages import SECRET_HEAD_BYTES
from keyhop.network.relay.pads import Pads, Standing
from keyhop.network.relay.parcels import Flow
from keyhop.network.sealing import MAC_KEY_BYTES
from keyhop.network.wire import Body, Leased, LeaseNoted
from keyhop.testing.virtual import VirtualClock

PADDED = 800
"""What a share takes, in bytes; it is too large to be a key that somebody waits for."""
PAD = PADDED - MAC_KEY_BYTES
SMALL = SECRET_HEAD_BYTES + pads.SMALL_BYTES


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
        self.note()

    def note(self) -> None:
        while self._told:
            told = self._told.pop()
            self.leasing.noted(LeaseNoted(told.epoch, told.taken))

    def bring(self, seconds: int) -> None:
        """The link brings four kilobytes a second."""
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.leasing.demand.brought(4096 // UNIT_BYTES)
            self.produce(4096)

    def ask(
        self, name: str, of: Flow, within_s: float = 1e9, *, size_bytes: int = PAD, asked_for: bool = False
    ) -> None:
        def use(taken: object) -> None:
            self.served.append(name if taken else f"no {name}")

        self.pads.take(of, size_bytes, self.clock.monotonic() + within_s, use, asked_for=asked_for)
        self.note()


@pytest.fixture
def padded() -> Padded:
    return Padded()


def test_flows_take_turns_however_much_one_of_them_asks_for(padded: Padded) -> None:
    for _ in range(20):
        padded.ask("greedy", flow("greedy"))
    padded.ask("honest", flow("honest"))
    padded.produce(3 * PADDED)
    assert padded.served == ["greedy", "honest", "greedy"]


def test_a_heavy_flow_has_its_part(padded: Padded) -> None:
    for _ in range(12):
        padded.ask("light", flow("light"))
        padded.ask("heavy", flow("heavy"))
    padded.produce(8 * PADDED)
    assert padded.served.count("heavy") in (5, 6)


def test_a_higher_priority_does_not_wait_behind_others(padded: Padded) -> None:
    padded.ask("first", flow("x", 1))
    padded.ask("second", flow("x", 1))
    padded.ask("urgent", flow("y", 7))
    padded.produce(3 * PADDED)
    assert padded.served == ["urgent", "first", "second"]


def test_what_is_too_small_for_a_block_is_waited_for_and_comes_before_blocks(padded: Padded) -> None:
    for number in range(3):
        padded.ask(f"{number} of x", flow("x"))
        padded.ask(f"{number} of y", flow("y"))
    padded.ask("key", flow("x"), size_bytes=SMALL)
    padded.ask("no key", flow("x"), size_bytes=SMALL + 1)
    padded.produce(MAC_KEY_BYTES + SMALL)
    assert padded.served == ["key"]
    padded.produce(8 * PADDED)
    assert padded.served[1:3] == ["0 of x", "0 of y"]
    assert padded.served[-1] == "no key"


def test_who_sends_nothing_but_small_shares_gets_no_more_in_the_end(padded: Padded) -> None:
    for _ in range(200):
        padded.ask("small", flow("x"), size_bytes=SMALL)
        padded.ask("block", flow("y"))
    padded.produce(1 << 16)
    small, block = padded.served.count("small") * (MAC_KEY_BYTES + SMALL), padded.served.count("block") * PADDED
    assert abs(small - block - pads.HEAD_START_BYTES) <= 2 * PADDED


def test_who_has_kept_nobody_waiting_owes_nothing(padded: Padded) -> None:
    for _ in range(2 * pads.HEAD_START_BYTES // SMALL):
        padded.produce(MAC_KEY_BYTES + SMALL)
        padded.ask("earlier", flow("x"), size_bytes=SMALL)
    assert "no earlier" not in padded.served
    padded.ask("block", flow("y"))
    padded.ask("key", flow("x"), size_bytes=SMALL)
    padded.produce(MAC_KEY_BYTES + SMALL)
    assert padded.served[-1] == "key"


def test_a_source_has_no_higher_priority_than_it_may_have(padded: Padded) -> None:
    padded.ask("first", flow("x", 6))
    padded.ask("foreign", flow("foreign", 7))
    padded.ask("second", flow("x", 6))
    padded.produce(3 * PADDED)
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
    padded.produce(PADDED)
    assert padded.served == ["no two", "no one", "three"]


def test_half_of_what_comes_is_for_all_pads_that_wait_while_saes_lack(padded: Padded) -> None:
    padded.leasing.reserve(40 * PADDED, [(SaeId("x"), SaeId("y"))], 1 << 20)
    for number in range(4):
        padded.ask(f"{number}", flow("x"))
    padded.produce(2 * 4 * PADDED)
    assert padded.served == ["0", "1", "2", "3"]
    assert padded.leasing.entitled_units((SaeId("x"), SaeId("y"))) == units_for(4 * PADDED)


def test_who_waits_no_longer_has_nothing_kept_for_him(padded: Padded) -> None:
    padded.leasing.reserve(40 * PADDED, [(SaeId("x"), SaeId("y"))], 1 << 20)
    for _ in range(2):
        padded.ask("impatient", flow("x"), 1.0)
    padded.clock.advance(2.0)
    padded.pads.tick()
    padded.leasing.tick()
    padded.produce(2 * PADDED)
    assert padded.leasing.entitled_units((SaeId("x"), SaeId("y"))) == units_for(2 * PADDED)


def _note(served: list[int], number: int, taken: object) -> None:
    served.append(number)


@pytest.mark.parametrize("which", [0, 1])
def test_who_was_cancelled_takes_nothing(padded: Padded, which: int) -> None:
    served: list[int] = []
    cancels = [padded.pads.take(flow("x"), PAD, 1e9, partial(_note, served, number)) for number in range(2)]
    cancels[which]()
    cancels[which]()
    padded.produce(2 * PADDED)
    assert served == [1 - which]
    assert padded.stream.used_units == PADDED // 8


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
    padded.produce(1 << 21)
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


@pytest.fixture
def flowing() -> Padded:
    """A link that has brought 80 kB, at four a second."""
    padded = Padded()
    padded.leasing.reserve(0, (), 1 << 20)
    padded.bring(20)
    return padded


def burst(padded: Padded) -> int:
    """What keys of others that are relayed ahead get at once; as many as would empty the link ask."""
    before = len(padded.served)
    for _ in range(200):
        padded.ask("burst", flow("others"))
    return len(padded.served) - before


def test_a_burst_of_what_is_relayed_ahead_leaves_something_of_a_link(flowing: Padded) -> None:
    assert burst(flowing) > 80
    left = flowing.leasing.entitled_units(None) * UNIT_BYTES
    assert 4 * 800 < left <= 4096 + PADDED
    assert flowing.leasing.spare_units == 0


def test_who_asks_at_this_kme_finds_it_at_once_and_so_does_what_comes_first(flowing: Padded) -> None:
    burst(flowing)
    flowing.ask("asked for", flow("here"), asked_for=True)
    assert flowing.served[-1] == "asked for"
    flowing.ask("first", flow("others", 6))
    assert flowing.served[-1] == "first"
    flowing.ask("not first", flow("others", 4))
    assert flowing.served[-1] == "first"


def test_what_is_relayed_ahead_is_not_starved_by_what_is_asked_for_here(flowing: Padded) -> None:
    burst(flowing)
    had = len(flowing.served)
    for _ in range(20):
        flowing.bring(1)
        for _ in range(10):
            flowing.ask("asked for", flow("here"), asked_for=True)
    served = flowing.served[had:]
    assert 0.4 < served.count("burst") / len(served) < 0.7


def test_a_link_that_brings_nothing_any_more_keeps_nothing_back(flowing: Padded) -> None:
    burst(flowing)
    had = len(flowing.served)
    flowing.clock.advance(100.0)
    flowing.leasing.tick()
    flowing.note()
    assert len(flowing.served) > had
    assert flowing.leasing.entitled_units(None) * UNIT_BYTES < PADDED
