"""Keys for slaves at other KMEs: all hold them, or none."""

import pytest

from keyhop.core import records
from keyhop.core.errors import Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network import wire
from keyhop.service.requests import GetKey, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, A2, B, B2 = SaeId("a"), SaeId("a2"), SaeId("b"), SaeId("b2")


def test_a_copy_whose_answer_came_too_late_is_recalled() -> None:
    network = VirtualNetwork({A: ALICE, B: BOB, B2: BOB}, 1)
    network.settle()
    network.produce(16)
    network.settle()
    answers = network.get_key(ALICE, GetKey(A, B, additional_slaves=(B2,)))
    bob = network.kmes[BOB]
    while not len(bob.records):
        network.step()
    network._on_the_way = [sent for sent in network._on_the_way if not is_carried(sent[2])]
    network.clock.advance(2.0)
    network.kmes[ALICE].tick()
    network.settle()
    (answer,) = answers
    assert isinstance(answer, Unavailable), answer
    assert len(bob.records) == 0


def test_when_the_room_has_gone_meanwhile_all_copies_are_recalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORDS", 4)
    network = VirtualNetwork({A: ALICE, A2: ALICE, B: BOB}, 1)
    network.settle()
    network.produce(16)
    network.settle()
    network.get_key(ALICE, GetKey(A, A2))
    answers = [network.get_key(ALICE, GetKey(A, A2, additional_slaves=(B,))) for _ in range(2)]
    network.settle()
    (first,), (second,) = answers
    assert isinstance(first, Keys)
    assert isinstance(second, Unavailable)
    assert "too many keys" in second.message
    assert len(network.kmes[ALICE].records) == 2
    assert len(network.kmes[BOB].records) == 1


def is_carried(message: bytes) -> bool:
    return isinstance(wire.decode(message).body, wire.Carried)
