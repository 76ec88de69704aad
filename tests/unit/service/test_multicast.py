"""Keys for slaves at other KMEs: all hold them, or none."""

import pytest

from keyhop.core import record_room
from keyhop.core.errors import Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network import wire
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.pair import PairOptions
from keyhop.network.wire_types import MAX_SLAVES
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKey, Keys, VoidedKeys, VoidKeys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL = map(KmeId, ("alice", "bob", "carol"))
A, A2, B, B2, C, C2 = map(SaeId, ("a", "a2", "b", "b2", "c", "c2"))


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


def test_where_a_dry_stream_refuses_what_has_left_is_waited_for_all_the_same() -> None:
    policy = Policy(PairPolicy(when_dry="refuse", wait_s=0.0))
    network = VirtualNetwork({A: ALICE, A2: ALICE, B: BOB, B2: BOB}, 1, policy=policy)
    network.settle()
    network.produce(16)
    network.pass_time(1.0)
    network.get_key(ALICE, GetKey(A, B, additional_slaves=(B2,)))  # after which there is a lease that is long enough
    network.pass_time(1.0)
    answers = network.get_key(ALICE, GetKey(A, B, additional_slaves=(B2,)))
    network.flush()
    network.clock.advance(1.0)
    network.kmes[ALICE].tick()
    network.settle()
    (answer,) = answers
    assert isinstance(answer, Keys), answer


def test_where_a_dry_stream_refuses_no_pads_are_spent_in_vain() -> None:
    policy = Policy(PairPolicy(when_dry="refuse", wait_s=0.0))
    feeder, links = FeederOptions(buffering="on-demand"), ((ALICE, BOB), (BOB, CAROL))
    home = {A: ALICE, B: BOB, B2: BOB, C: CAROL, C2: CAROL}
    network = VirtualNetwork(home, 1, policy=policy, feeder=feeder, links=links)
    network.settle()
    network.produce(16)
    network.pass_time(1.0)
    network.get_key(ALICE, GetKey(A, B, 4, additional_slaves=(B2,)))  # after which there is a lease
    network.pass_time(1.0)
    spent = network.kmes[ALICE].peers[BOB].neighbour.owned.ledger.pad
    answers = network.get_key(ALICE, GetKey(A, C, additional_slaves=(C2,)))
    network.pass_time(1.0)
    (answer,) = answers
    assert isinstance(answer, Unavailable)
    assert network.kmes[ALICE].peers[BOB].neighbour.owned.ledger.pad == spent


def test_when_the_room_has_gone_meanwhile_all_copies_are_recalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_room, "MAX_RECORDS", 4)
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


@pytest.mark.parametrize("links", [((ALICE, BOB),), ((ALICE, CAROL), (BOB, CAROL))], ids=["link", "relayed"])
def test_as_many_slaves_as_a_policy_may_allow_can_be_at_one_kme(links: tuple[tuple[KmeId, KmeId], ...]) -> None:
    """Whatever their names are: what leaves has to be what the other KME takes."""
    slaves = [SaeId(chr(0x1F600 + n % 64) * 59 + f"{n:05}") for n in range(MAX_SLAVES)]
    home = {A: ALICE, SaeId("c"): CAROL} | dict.fromkeys(slaves, BOB)
    policy, options = Policy(max_additional_slaves=MAX_SLAVES - 1), PairOptions(reserved_bytes_per_pair=0)
    network = VirtualNetwork(home, 1, policy=policy, options=options, links=links)
    network.settle()
    network.produce(16)
    network.pass_time(2.0)
    first, *others = slaves
    answers = network.get_key(ALICE, GetKey(A, first, additional_slaves=tuple(others)))
    network.pass_time(2.0)
    (keys,) = answers
    assert isinstance(keys, Keys)
    voids = network.void_keys(ALICE, VoidKeys(A, first, keys.runs[0].ids, tuple(others)))
    network.pass_time(2.0)
    (void,) = voids
    assert isinstance(void, VoidedKeys)
    assert void.voided == (True,)
