"""Keys for slaves at other KMEs: all hold them, or none."""

from keyhop.core.errors import Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network import wire
from keyhop.service.requests import GetKey
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, B, B2 = SaeId("a"), SaeId("b"), SaeId("b2")


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


def is_carried(message: bytes) -> bool:
    return isinstance(wire.decode(message).body, wire.Carried)
