"""Each strategy carries a parcel from one end to the other; what it costs is in the books of both ends of each hop."""

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest
from relay_ways import DATA, LINKS, PLANS, SOME, THREE, TWO, XOR, A, B, C, D, E, F, block, network_of_relays

from keyhop.core.errors import StoreFailure
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path
from keyhop.core.record_ids import record_ids
from keyhop.network.relay.messages import MAX_DATA_BYTES, Forward, OfRelay, RecordsPayload, Stored, Vouch
from keyhop.network.relay.parcels import Parcel, Plan, fault
from keyhop.network.relay.source import RESEND_S
from keyhop.testing.relays import VirtualRelays, sae_of


def hops(path: Path) -> Iterator[tuple[KmeId, KmeId]]:
    return pairwise(path)


@pytest.fixture
def network() -> VirtualRelays:
    return network_of_relays()


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_block_arrives(network: VirtualRelays, plan: Plan) -> None:
    target = plan.paths[0][-1]
    outcome = network.send("A", block(target), plan)
    network.settle()
    assert outcome == [None]
    assert network.delivered.blocks == [(A, target, DATA)]
    assert network.delivered.own == [(A, target, DATA)]
    assert network.breaches == []


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_both_ends_of_each_hop_book_the_same_pad_and_mac(network: VirtualRelays, plan: Plan) -> None:
    macs = 4 * 32  # of the blocks that fill the stream
    network.send("A", block(plan.paths[0][-1]), plan)
    network.settle()
    for path in plan.paths:
        for before, after in hops(path):
            owner = network.nodes[before].direct(after).owned.ledger
            follower = network.nodes[after].direct(before).followed.ledger
            assert (owner.pad, owner.mac - macs) == (len(DATA) + 64, 32)
            assert (follower.pad, follower.mac - macs) == (len(DATA) + 64, 32)
    assert all(node.balanced() for node in network.nodes.values())


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_nothing_of_the_data_crosses_in_the_clear(network: VirtualRelays, plan: Plan) -> None:
    network.send("A", block(plan.paths[0][-1], bytes(2048)), plan)
    network.settle()
    assert all(bytes(32) not in msgspec.msgpack.encode(message) for _, _, message in network.said)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_all_that_was_claimed_is_erased(network: VirtualRelays, plan: Plan) -> None:
    network.send("A", block(plan.paths[0][-1]), plan)
    network.settle()
    forwards = [(source, target, m) for source, target, m in network.said if isinstance(m, Forward)]
    assert not any(network.nodes[target].still_has(source, message) for source, target, message in forwards)


@pytest.mark.parametrize("plan", [TWO, XOR, SOME], ids=lambda plan: plan.strategy)
def test_records_are_durable_before_the_answer(plan: Plan) -> None:
    network = VirtualRelays(LINKS)
    ids = record_ids(bytes(range(64)))
    payload = RecordsPayload(bytes(16), "kme", sae_of(A), (sae_of(D),), ids)
    outcome = network.send("A", Parcel(D, payload, KeyMaterial(DATA)), plan)
    while not any(isinstance(message, Stored) for _, _, message in network.said):
        assert network.step()
    assert outcome == []
    network.restart(D)
    records = network.nodes[D].records
    keys = [records.deliver(ids[i : i + 16], sae_of(D)) for i in range(0, 64, 16)]
    assert b"".join(keys) == DATA
    network.settle()
    assert outcome == [None]


def test_of_xor_at_destination_all_nodes_take_their_step_at_once(network: VirtualRelays) -> None:
    """After the requests have come, nobody waits for more than the node before."""
    network.send("A", block(), XOR)
    network.settle()
    said = [(type(message).__name__, source) for source, _, message in network.said]
    assert said == [
        ("Announce", A),
        ("Request", A),
        ("Request", A),
        ("PadPlace", A),
        ("PadPlace", E),
        ("PadPlace", F),
        ("Contribution", E),
        ("Contribution", F),
        ("Stored", D),
    ]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_what_is_lost_is_sent_again_word_for_word(network: VirtualRelays, plan: Plan) -> None:
    network.loss = 1.0
    outcome = network.send("A", block(plan.paths[0][-1]), plan)
    network.settle()
    said = len(network.said)
    first = [each for each in network.said if not isinstance(each[2], Vouch)]
    assert first
    network.loss = 0.0
    network.pass_time(RESEND_S * 2)
    assert outcome == [None]
    assert network.said[said : said + len(first)] == first


def test_nothing_is_sent_again_once_it_was_answered(network: VirtualRelays) -> None:
    network.send("A", block(), THREE)
    network.settle()
    said = len(network.said)
    network.pass_time(5.0)
    assert len(network.said) == said


def test_an_answer_that_was_lost_comes_again(network: VirtualRelays) -> None:
    outcome = network.send("A", block(), TWO)
    while not any(isinstance(message, Stored) for _, _, message in network.said):
        network.step()
    network.lose()
    network.pass_time(RESEND_S * 2)
    assert outcome == [None]
    assert len(network.delivered.blocks) == 1


def test_at_the_deadline_it_is_given_up_and_a_late_answer_is_nobodys(network: VirtualRelays) -> None:
    network.loss = 1.0
    outcome = network.send("A", block(), TWO, wait_s=3.0)
    network.pass_time(2.5)
    assert outcome == []
    network.pass_time(0.5)
    assert outcome == ["it did not arrive in time"]
    network.loss = 0.0
    (parcel,) = {message.parcel for _, _, message in network.said if isinstance(message, Forward)}
    network.nodes[A].relay.received(D, Stored(parcel))
    assert outcome == ["it did not arrive in time"]
    assert network.delivered.own == []


def test_when_the_store_has_failed_nobody_waits_for_an_answer(network: VirtualRelays) -> None:
    network.loss = 1.0
    outcomes = [network.send("A", block(data=bytes([i]) * 100), TWO) for i in range(2)]
    network.settle()
    network.nodes[A].journal.fail(StoreFailure("the disk is gone"))
    network.nodes[A].relay.abandon()
    assert outcomes == [["the store of this KME has failed"]] * 2


@pytest.mark.parametrize(
    ("plan", "wrong"),
    [
        (Plan("hop-by-hop", ()), "hop-by-hop goes along one path"),
        (Plan("hop-by-hop", ((A,),)), "a path has 1 to 16 hops"),
        (Plan("hop-by-hop", ((A, *(KmeId(f"n{i}") for i in range(16)), D),)), "a path has 1 to 16 hops"),
        (Plan("hop-by-hop", ((B, D),)), "a path leads from the source to the destination"),
        (Plan("hop-by-hop", ((A, B),)), "a path leads from the source to the destination"),
        (Plan("hop-by-hop", ((A, B, C, B, D),)), "a node is on the paths twice"),
        (Plan("hop-by-hop", ((A, B, A, D),)), "a node is on the paths twice"),
        (Plan("hop-by-hop", ((A, B, D), (A, C, D))), "hop-by-hop goes along one path"),
        (Plan("hop-by-hop", ((A, B, D),), 2), "hop-by-hop goes along one path"),
        (Plan("xor-at-destination", ((A, B, D), (A, C, D)), 2), "xor-at-destination goes along one path"),
        (Plan("secret-shared", ((A, B, D), (A, C, B, D)), 2), "a node is on the paths twice"),
        (Plan("secret-shared", ((A, D), (A, D)), 2), "a path is there twice"),
        (Plan("secret-shared", ((A, B, D), (A, C, D)), 1), "a secret is shared over 2 to 8 paths"),
        (Plan("secret-shared", ((A, B, D), (A, C, D)), 3), "a secret is shared over 2 to 8 paths"),
        (Plan("secret-shared", ((A, B, D),), 1), "a secret is shared over 2 to 8 paths"),
    ],
)
def test_what_no_plan_may_be(network: VirtualRelays, plan: Plan, wrong: str) -> None:
    found = fault(plan, A, D)
    assert found is not None
    assert found.startswith(wrong)
    assert network.send("A", block(), plan) == [found]
    assert network.said == []


@pytest.mark.parametrize("size", [0, MAX_DATA_BYTES + 1])
def test_a_parcel_of_no_size_for_a_message_is_not_sent(network: VirtualRelays, size: int) -> None:
    assert network.send("A", block(data=bytes(size)), TWO) == [f"a parcel has 1 to {MAX_DATA_BYTES} bytes"]


def test_without_a_connection_to_the_destination_nothing_is_spent(network: VirtualRelays) -> None:
    network.cut.add(frozenset((A, D)))
    assert network.send("A", block(), TWO) == ["no connection to KME D"]
    assert network.nodes[A].direct(B).owned.ledger.pad == 0


def test_records_that_came_over_one_path_do_not_come_again_over_another(network: VirtualRelays) -> None:
    held: list[OfRelay] = []

    def hold(target: KmeId, message: OfRelay) -> Iterator[tuple[KmeId, OfRelay]]:
        held.append(message)
        yield from ()

    ids = record_ids(bytes(16))
    batch = RecordsPayload(bytes(16), "kme", sae_of(A), (sae_of(D),), ids)
    parcel = Parcel(D, batch, KeyMaterial(DATA[:32]))
    network.lies[B] = hold
    assert network.send("A", parcel, TWO, 0.8) == []
    network.settle()
    network.pass_time(1.0)
    del network.lies[B]
    outcome = network.send("A", parcel, Plan("hop-by-hop", ((A, C, D),)))
    network.settle()
    assert outcome == [None]
    target = network.nodes[D]
    assert target.records.deliver(ids, sae_of(D)) == DATA[:32]
    assert held
    for message in held:
        target.relay.received(B, message)
        network.settle()
    assert ids not in target.records
