"""Which of two streams the bytes of a key come from."""

import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.pair import Pair
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, B = SaeId("a"), SaeId("b")


@pytest.fixture
def network() -> VirtualNetwork:
    network = VirtualNetwork({A: ALICE, B: BOB})
    network.settle()
    return network


def relay(network: VirtualNetwork, sequence: int, data: bytes) -> None:
    """A block for alice's stream to bob, over other nodes."""
    alice, bob = network.kmes[ALICE].peers[BOB].relayed, network.kmes[BOB].peers[ALICE].relayed
    assert bob.filling.their_block(sequence, KeyMaterial(data), network.clock.wall(), "relay")
    alice.filling.own_block(sequence, KeyMaterial(data), network.clock.wall(), "relay")
    network.settle()


def delivered(network: VirtualNetwork) -> tuple[int, int]:
    """Bytes of alice's direct and relayed streams that masters got."""
    peer = network.kmes[ALICE].peers[BOB]
    return peer.neighbour.owned.ledger.delivered, peer.relayed.owned.ledger.delivered


def fetch(network: VirtualNetwork, keys: Keys) -> None:
    answers = network.get_key_with_ids(BOB, GetKeyWithIds(B, A, keys.runs[0].ids))
    network.pass_time(1.0)
    (theirs,) = answers
    assert isinstance(theirs, Keys)
    assert b"".join(run.material.reveal() for run in theirs.runs) == keys.runs[0].material.reveal()


def get(network: VirtualNetwork) -> Keys:
    answers = network.get_key(ALICE, GetKey(A, B))
    network.pass_time(1.0)
    (keys,) = answers
    assert isinstance(keys, Keys)
    return keys


def test_the_direct_stream_is_spent_first_and_the_slave_finds_keys_of_both(network: VirtualNetwork) -> None:
    network.produce(2, 512)
    network.settle()
    relay(network, 0, network.random.randbytes(4096))
    while network.kmes[ALICE].peers[BOB].neighbour.owned.stock_units >= 4:
        fetch(network, get(network))
    direct, relayed = delivered(network)
    assert direct > 0
    assert relayed == 0
    for _ in range(3):
        fetch(network, get(network))
    assert delivered(network) == (direct, 96)


def test_one_request_may_name_keys_of_both_streams(network: VirtualNetwork) -> None:
    relay(network, 0, network.random.randbytes(4096))
    first = get(network)
    network.produce(8)
    network.settle()
    second = get(network)
    assert delivered(network) == (32, 32)
    request = GetKeyWithIds(B, A, second.runs[0].ids + first.runs[0].ids)
    answers = network.get_key_with_ids(BOB, request)
    network.pass_time(1.0)
    (keys,) = answers
    assert isinstance(keys, Keys)
    got = [run.material.reveal() for run in keys.runs]
    assert got == [second.runs[0].material.reveal(), first.runs[0].material.reveal()]


@pytest.mark.parametrize("first", ["direct", "relayed"])
def test_who_waits_gets_what_comes_first_and_costs_the_other_stream_nothing(
    network: VirtualNetwork, first: str
) -> None:
    answers = network.get_key(ALICE, GetKey(A, B))
    network.settle()
    assert not answers
    if first == "direct":
        network.produce(8)
        network.settle()
        relay(network, 0, network.random.randbytes(4096))
    else:
        relay(network, 0, network.random.randbytes(4096))
        network.produce(8)
        network.settle()
    (keys,) = answers
    assert isinstance(keys, Keys)
    assert delivered(network) == ((32, 0) if first == "direct" else (0, 32))
    pairs: tuple[Pair, ...] = network.kmes[ALICE].peers[BOB].pairs
    assert not any(pair.leasing._waiting.wants for pair in pairs)


def test_a_relayed_block_that_the_two_ends_do_not_have_alike_is_dropped(network: VirtualNetwork) -> None:
    alice, bob = network.kmes[ALICE].peers[BOB].relayed, network.kmes[BOB].peers[ALICE].relayed
    bob.filling.their_block(0, KeyMaterial(b"x" * 4096), 0.0, "relay")
    alice.filling.own_block(0, KeyMaterial(b"y" * 4096), 0.0, "relay")
    network.pass_time(2.0)
    assert alice.owned.produced == bob.followed.produced == 0
    assert alice.filling.discarded_bytes == bob.filling.discarded_bytes == 4096


def test_a_relayed_block_goes_to_nobody_else_s_stream_and_comes_once(network: VirtualNetwork) -> None:
    for name in (ALICE, BOB):
        peer = BOB if name == ALICE else ALICE
        relayed = network.kmes[name].peers[peer].relayed
        assert relayed.filling.their_block(5, KeyMaterial(b"z" * 4096), 0.0, "relay")
        assert not relayed.filling.their_block(5, KeyMaterial(b"z" * 4096), 0.0, "relay")
    network.pass_time(40.0)
    for name in (ALICE, BOB):
        peer = BOB if name == ALICE else ALICE
        relayed = network.kmes[name].peers[peer].relayed
        assert relayed.owned.produced == relayed.followed.produced == 0


def test_a_relayed_block_that_was_lost_in_a_restart_holds_up_no_other(network: VirtualNetwork) -> None:
    alice, bob = network.kmes[ALICE].peers[BOB].relayed, network.kmes[BOB].peers[ALICE].relayed
    now = network.clock.wall()
    assert bob.filling.their_block(7, KeyMaterial(b"x" * 4096), now, "relay")
    network.kmes[BOB].crash()
    network.pass_time(2.0)
    alice.filling.own_block(7, KeyMaterial(b"x" * 4096), now, "relay")
    relay(network, 3, network.random.randbytes(4096))
    network.pass_time(2.0)
    assert alice.owned.produced * 8 == 4096 - 32
    assert alice.filling.discarded_bytes == 4096
    assert alice.filling.waiting_units == 0
    fetch(network, get(network))
