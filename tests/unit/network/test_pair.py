"""Two pairs in dialogue on virtual time: sessions, verdicts, expiry, restored copies."""

import pytest

from keyhop.core.errors import KeyhopError, PeerError
from keyhop.core.ids import KmeId, SaeId
from keyhop.network import wire
from keyhop.network.pair import Pair, PairOptions
from keyhop.network.windows import EXPECTED_S
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, B = SaeId("a1"), SaeId("b1")
DAY = 86400.0


def joined(*, stock_bytes: int = 64 << 10, wait_s: float = 1.0) -> VirtualNetwork:
    network = VirtualNetwork(
        {A: ALICE, B: BOB}, 1, policy=Policy(PairPolicy(wait_s=wait_s)), options=PairOptions(stock_bytes=stock_bytes)
    )
    network.settle()
    return network


@pytest.fixture
def network() -> VirtualNetwork:
    return joined()


def pairs(network: VirtualNetwork) -> tuple[Pair, Pair]:
    return network.kmes[ALICE].peers[BOB].neighbour, network.kmes[BOB].peers[ALICE].neighbour


def get(network: VirtualNetwork, number: int = 1) -> Keys:
    answers = network.get_key(ALICE, GetKey(A, B, number=number))
    network.settle()
    (keys,) = answers
    assert isinstance(keys, Keys), keys
    return keys


def fetch(network: VirtualNetwork, keys: Keys) -> Keys | KeyhopError:
    answers = network.get_key_with_ids(BOB, GetKeyWithIds(B, A, keys.runs[0].ids))
    network.settle()
    (answer,) = answers
    return answer


def assert_same(network: VirtualNetwork, keys: Keys) -> None:
    fetched = fetch(network, keys)
    assert isinstance(fetched, Keys), fetched
    assert b"".join(run.material.reveal() for run in fetched.runs) == keys.runs[0].material.reveal()


def assert_balanced(network: VirtualNetwork) -> None:
    for pair in pairs(network):
        assert pair.owned.ledger.balances(pair.owned.available_bytes)
        assert pair.followed.ledger.balances(pair.followed.available_bytes)


def disconnect(network: VirtualNetwork) -> None:
    for pair in pairs(network):
        pair.session.disconnect()
    network.flush()
    network._on_the_way.clear()


def assert_refused(network: VirtualNetwork, keys: Keys) -> None:
    assert isinstance(fetch(network, keys), KeyhopError)


def test_two_that_meet_are_synchronised_and_share_keys(network: VirtualNetwork) -> None:
    assert all(pair.synchronised for pair in pairs(network))
    network.produce(4)
    network.settle()
    keys = get(network, 3)
    assert_same(network, keys)
    assert_refused(network, keys)
    assert_balanced(network)


def test_a_lost_hello_or_state_is_made_up_for() -> None:
    network = joined()
    for lost in range(6):
        for kme in network.kmes.values():
            kme.crash()
        network.flush()
        for _ in range(lost):
            network.step()
        network.loss = 1.0
        network.settle()
        network.loss = 0.0
        network.pass_time(2.0)
        assert all(pair.synchronised for pair in pairs(network)), lost


def test_messages_of_an_earlier_session_are_dropped(network: VirtualNetwork) -> None:
    network.produce(4)
    network.settle()
    alice, bob = pairs(network)
    there = bob.followed.available_bytes
    void = wire.Void(1, 8, bob.followed.taken)
    for sender, receiver in (
        (12345, bob.session.number),
        (alice.session.number, 12345),
        (0, 0),
        (alice.session.number, 0),
    ):
        network.kmes[BOB].received(ALICE, wire.encode(wire.Envelope("direct", sender, receiver, void)))
    assert bob.followed.available_bytes == there
    assert bob.synchronised
    network.kmes[BOB].received(
        ALICE, wire.encode(wire.Envelope("direct", alice.session.number, bob.session.number, void))
    )
    assert bob.followed.available_bytes < there


def test_a_block_that_the_owner_never_heard_is_held_is_dropped(network: VirtualNetwork) -> None:
    network.produce(4)
    network.settle()
    alice, bob = pairs(network)
    network.produce(1)
    while bob.followed.produced == alice.owned.produced:
        assert network.step()
    network.kmes[ALICE].crash()
    network._on_the_way.clear()
    network.settle()
    network.pass_time(3.0)
    alice, bob = pairs(network)
    assert (alice.owned.epoch, bob.followed.produced) == (1, alice.owned.produced)
    network.produce(4)
    network.settle()
    for _ in range(4):
        assert_same(network, get(network))
    assert_balanced(network)


def test_a_message_for_nobody_yet_changes_nothing() -> None:
    network = VirtualNetwork({A: ALICE, B: BOB}, 1)
    bob = pairs(network)[1]
    bob.received(wire.Envelope("direct", 1, 0, wire.Void(1, 0, 100)))
    state = wire.State(wire.OwnerMarks(9, 9, 9, 9), wire.FollowerMarks(9, 9, 9, 9))
    bob.received(wire.Envelope("direct", 1, 0, state))
    assert not bob.synchronised
    assert bob.owned.epoch == 1


def test_a_repeated_state_is_judged_once(network: VirtualNetwork) -> None:
    network.produce(4)
    network.settle()
    keys = get(network)
    alice, bob = pairs(network)
    old = wire.State(wire.OwnerMarks(7, 0, 0, 0), wire.FollowerMarks(7, 0, 0, 0))
    before = (bob.owned.epoch, bob.followed.epoch)
    bob.received(wire.Envelope("direct", alice.session.number, bob.session.number, old))
    assert (bob.owned.epoch, bob.followed.epoch) == before
    assert_same(network, keys)


def test_garbage_is_a_peer_error(network: VirtualNetwork) -> None:
    with pytest.raises(PeerError):
        network.kmes[ALICE].peers[BOB].received(b"\xc1garbage")


def test_a_crash_of_the_owner_burns_its_lease_and_no_more(network: VirtualNetwork) -> None:
    network.produce(16)
    network.settle()
    first = get(network)
    network.kmes[ALICE].crash()
    network.settle()
    second = get(network)
    assert pairs(network)[0].owned.epoch == 1
    assert_same(network, first)
    assert_same(network, second)
    assert_balanced(network)


@pytest.mark.parametrize("keys_at_once", [1, 4, 100])
def test_a_crash_on_a_slow_link_burns_seconds_of_key(keys_at_once: int) -> None:
    """A kilobit a second with a full stock; one SAE asks now and then, for little or for much."""
    network = joined()
    for _ in range(150):
        network.produce(1, size=1000)
        network.pass_time(8.0)
    for _ in range(20):
        get(network, keys_at_once)
        network.produce(1, size=1000)
        network.pass_time(8.0)
    network.kmes[ALICE].crash()
    network.settle()
    burnt = pairs(network)[0].owned.ledger.burnt
    assert burnt <= 2 * 125 * 1.5, "two seconds of what the link brings; its average is a little more after a block"
    assert_balanced(network)
    get(network, keys_at_once)


@pytest.mark.parametrize("name", [ALICE, BOB])
def test_an_end_that_lost_its_disk_starts_anew_and_repeats_nothing(network: VirtualNetwork, name: KmeId) -> None:
    network.produce(16)
    network.settle()
    keys = get(network)
    network.kmes[name].start({})
    network.settle()
    assert all(pair.synchronised for pair in pairs(network))
    if name == BOB:
        assert_refused(network, keys)
    else:
        assert_same(network, keys)
    network.produce(8)
    network.settle()
    assert_same(network, get(network))
    assert pairs(network)[0].owned.epoch == 2
    assert_balanced(network)


def test_a_restored_follower_gives_out_nothing_again(network: VirtualNetwork) -> None:
    network.produce(16)
    network.settle()
    keys = get(network)
    copy = dict(network.kmes[BOB].store.values)
    network.pass_time(5.0)
    assert_same(network, keys)
    network.kmes[BOB].start(copy)
    network.settle()
    assert_refused(network, keys)
    assert_balanced(network)
    for kme in (ALICE, BOB):
        assert [(r["stream"], r["reason"]) for r in network.kmes[kme].audit.records() if "stream" in r] == [
            ("alice→bob", "follower forgot")
        ]


def test_a_restored_follower_gives_out_nothing_that_it_delivered_while_the_owner_was_away(
    network: VirtualNetwork,
) -> None:
    network.produce(16)
    network.settle()
    keys = get(network)
    network.pass_time(5.0)
    alice, bob = pairs(network)
    alice.session.disconnect()
    bob.session.disconnect()
    network.flush()
    copy = dict(network.kmes[BOB].store.values)
    assert_same(network, keys)
    alice.session.connect(lambda data: network._send(ALICE, BOB, data))
    bob.session.connect(lambda data: network._send(BOB, ALICE, data))
    network.settle()
    network.pass_time(5.0)
    network.kmes[BOB].start(copy)
    network.settle()
    assert_refused(network, keys)


def test_a_restored_follower_is_found_out_although_the_first_verdict_reached_the_owner_only(
    network: VirtualNetwork,
) -> None:
    network.produce(8)
    network.settle()
    keys = get(network)
    network.pass_time(5.0)
    copy = dict(network.kmes[BOB].store.values)
    network.produce(8)
    network.pass_time(1.0)
    disconnect(network)
    assert_same(network, keys)
    network.kmes[BOB].start(copy)
    alice, bob = pairs(network)
    bob.session.disconnect()
    alice.session.connect(lambda data: network._send(ALICE, BOB, data))
    bob.session.connect(lambda data: network._send(BOB, ALICE, data))
    while not alice.synchronised:
        network.flush()
        source, target, data = network._on_the_way.pop(0)
        if source == BOB or not isinstance(wire.decode(data).body, wire.State):
            network.kmes[target].received(source, data)
    assert not bob.synchronised
    disconnect(network)
    alice.session.connect(lambda data: network._send(ALICE, BOB, data))
    bob.session.connect(lambda data: network._send(BOB, ALICE, data))
    network.settle()
    assert_refused(network, keys)
    epoch = alice.owned.epoch
    network.kmes[BOB].crash()
    network.settle()
    assert alice.owned.epoch == epoch  # it is found out once
    network.produce(8)
    network.settle()
    assert_same(network, get(network))
    assert_balanced(network)


def test_a_restored_owner_takes_nothing_twice(network: VirtualNetwork) -> None:
    network.produce(16)
    network.settle()
    copy = dict(network.kmes[ALICE].store.values)
    first = get(network, 1000)
    network.kmes[ALICE].start(copy)
    network.settle()
    network.produce(16)
    network.settle()
    second = get(network, 1000)
    assert not {*_keys(first)} & {*_keys(second)}
    assert_same(network, first)
    assert_same(network, second)


def _keys(keys: Keys) -> list[bytes]:
    data = keys.runs[0].material.reveal()
    return [data[i : i + 32] for i in range(0, len(data), 32)]


def test_old_bytes_are_not_given_out_and_expire_at_both_ends(network: VirtualNetwork) -> None:
    network.produce(16)
    network.settle()
    get(network)
    network.clock.advance(1.1 * DAY)
    network.pass_time(1.0)
    alice, bob = pairs(network)
    assert (alice.owned.available_units, alice.owned.leased_units) == (0, 0)
    assert bob.followed.untaken_units == 0
    network.clock.advance(DAY)
    network.pass_time(1.0)
    assert bob.followed.available_bytes == 0
    assert_balanced(network)


def test_what_expired_while_the_owner_was_away_is_known_when_it_is_back(network: VirtualNetwork) -> None:
    network.produce(16)
    network.settle()
    alice, bob = pairs(network)
    alice.session.disconnect()
    bob.session.disconnect()
    network.flush()
    network.clock.advance(1.1 * DAY)
    network.pass_time(1.0)
    alice.session.connect(lambda data: network._send(ALICE, BOB, data))
    bob.session.connect(lambda data: network._send(BOB, ALICE, data))
    network.settle()
    assert alice.owned.available_units == 0
    assert bob.followed.untaken_units == 0
    network.produce(8)
    network.settle()
    assert_same(network, get(network))


def test_a_graceful_stop_voids_the_rest_at_both_ends(network: VirtualNetwork) -> None:
    network.produce(16)
    network.settle()
    keys = get(network)
    alice, bob = pairs(network)
    rest = alice.owned.leased_units
    assert rest
    network.kmes[ALICE].kme.seal()
    network.settle()
    assert alice.owned.leased_units == 0
    assert bob.followed.ledger.voided >= rest * 8
    assert alice.owned.ledger.leased == 0
    assert_same(network, keys)
    assert_balanced(network)
    answers = network.get_key(ALICE, GetKey(A, B))
    network.settle()
    assert len(answers) == 1, "a request after the seal is answered at once"
    assert isinstance(answers[0], KeyhopError)


def test_a_failed_store_lets_no_key_out_and_answers_everybody() -> None:
    network = joined(wait_s=5.0)
    network.produce(16)
    network.settle()
    keys = get(network)
    for name in (ALICE, BOB):
        kme = network.kmes[name]
        kme.store.close()
    asked = network.get_key_with_ids(BOB, GetKeyWithIds(B, A, keys.runs[0].ids))
    network.kmes[BOB].journal.flush()
    network.settle()
    assert [type(answer).__name__ for answer in asked] == ["StoreFailure"]
    late = network.get_key_with_ids(BOB, GetKeyWithIds(B, A, keys.runs[0].ids))
    assert [type(answer).__name__ for answer in late] == ["Unavailable"]


def test_where_nothing_happens_nothing_is_committed(network: VirtualNetwork) -> None:
    network.produce(blocks=4)
    network.settle()
    fetch(network, get(network))
    network.pass_time(EXPECTED_S + 2.0)
    before = [kme.journal.commits for kme in network.kmes.values()]
    network.pass_time(20.0)
    assert [kme.journal.commits for kme in network.kmes.values()] == before
