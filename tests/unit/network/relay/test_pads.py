"""Pads of one direct stream: who waits, in which order, until when."""

from functools import partial

import pytest
from padded import PAD, PADDED, Padded, flow

from keyhop.core.ids import SaeId
from keyhop.core.units import units_for
from keyhop.network.relay import pads
from keyhop.network.relay.messages import SECRET_HEAD_BYTES
from keyhop.network.sealing import MAC_KEY_BYTES

SMALL = SECRET_HEAD_BYTES + pads.SMALL_BYTES


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


def test_what_has_gathered_for_who_is_overtaken_is_for_who_overtakes(padded: Padded) -> None:
    padded.leasing.reserve(40 * PADDED, [(SaeId("x"), SaeId("y"))], 1 << 20)
    padded.ask("first", flow("x", 1))
    padded.produce(PADDED)
    padded.ask("urgent", flow("y", 7))
    padded.produce(PADDED)
    assert padded.served == ["urgent"]


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
