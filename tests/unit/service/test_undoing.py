"""Records that did not come together are taken back: until that is answered, and only what no master was given."""

import pytest

from keyhop.core import outgoing
from keyhop.core.errors import StoreFailure, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.network import wire
from keyhop.network.reclaiming import MOST_RESEND_S
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertKeys, Keys
from keyhop.service.undoing import LATE_S, Undoing
from keyhop.testing.network import VirtualNetwork
from keyhop.testing.virtual import SeededEntropy

ALICE, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")
A, B, C = SaeId("a"), SaeId("b"), SaeId("c")
REQUEST = GetKey(A, B, additional_slaves=(C,))
OWN_ID = bytes.fromhex("0190d3c8f1a27abc9def0123456789ab")
"""A UUID of version 7."""


class Network(VirtualNetwork):
    """Three KMEs; messages of some kinds can be lost."""

    def __init__(self) -> None:
        super().__init__({A: ALICE, B: BOB, C: CAROL}, 1)
        self.lost: set[type[wire.Body]] = set()
        self.held: list[tuple[KmeId, KmeId, bytes]] | None = None
        self.settle()
        self.produce(16)
        self.settle()

    def _send(self, source: KmeId, target: KmeId, data: bytes) -> None:
        body = wire.decode(data).body
        if self.held is not None and isinstance(body, wire.Carry) and target == BOB:
            self.held.append((source, target, data))
        elif not isinstance(body, tuple(self.lost)):
            super()._send(source, target, data)


@pytest.fixture
def network() -> Network:
    return Network()


def failed(network: Network) -> None:
    """A request of which bob has his copy fails, because carol does not hear of it."""
    network.dead.add(CAROL)
    answers = network.get_key(ALICE, REQUEST)
    network.settle()
    network.pass_time(2.0)
    assert isinstance(answers[0], Unavailable)
    network.dead.clear()
    network.kmes[CAROL].crash()


def left(network: Network) -> list[int]:
    """Records at bob's and carol's, and what alice has not settled."""
    kmes = network.kmes
    return [len(kmes[BOB].records), len(kmes[CAROL].records), len(kmes[ALICE].records.outgoing)]


def test_what_is_lost_is_asked_again_until_it_is_answered(network: Network) -> None:
    network.lost = {wire.Reclaim}
    failed(network)
    assert left(network) == [1, 0, 1]
    network.pass_time(2 * LATE_S)
    assert left(network) == [1, 0, 1]
    network.lost = set()
    network.pass_time(MOST_RESEND_S + 2.0)
    assert left(network) == [0, 0, 0]


def test_a_lost_answer_is_asked_for_again_and_is_the_same(network: Network) -> None:
    network.lost = {wire.Reclaimed}
    failed(network)
    assert left(network) == [0, 0, 1]
    network.pass_time(2 * LATE_S)
    assert left(network) == [0, 0, 1]
    network.lost = set()
    network.pass_time(MOST_RESEND_S + 2.0)
    assert left(network) == [0, 0, 0]


def test_a_kme_that_starts_again_goes_on_asking(network: Network) -> None:
    network.lost = {wire.Reclaim}
    failed(network)
    network.lost = set()
    network.kmes[ALICE].crash()
    network.pass_time(LATE_S + 2.0)
    assert left(network) == [0, 0, 0]


def test_a_kme_starts_when_it_undoes_something_first_and_remembers_as_much_as_it_can(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the gateway does when it starts: the oldest goes, and that is one that was found."""
    monkeypatch.setattr(outgoing, "MAX_OUTGOING", 2)
    network.lost = {wire.Reclaim}
    for _ in range(2):
        failed(network)
    alice = network.kmes[ALICE]
    found = outgoing.Outgoing(alice.store, Journal(alice.store, lambda: None))
    assert len(found.found) == 2
    undoing = Undoing(alice.peers, found, lambda: 86400.0, network.clock, SeededEntropy(1))
    undoing.undo(undoing.begin(A, {BOB: (B,)}, bytes(16)))
    undoing.resume()
    network.lost = set()
    network.clock.advance(LATE_S)
    undoing.tick()
    network.settle()
    assert len(found) == 0


def test_a_peer_that_stays_silent_is_asked_for_no_more_than_is_remembered(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network.kmes[ALICE].kme.records.outgoing, "most", 2)
    network.lost = {wire.Reclaim}
    undoing = network.kmes[ALICE].kme.undoing
    for number in range(5):
        undoing.undo(undoing.begin(A, {BOB: (B,)}, bytes([number] * 16)))
    network.pass_time(1.0)
    under_way = network.kmes[ALICE].peers[BOB].relayed.reclaiming._under_way
    assert [each.message.ids[0] for each in under_way.values()] == [3, 4]
    network.pass_time(LATE_S + 1.0)
    undoing.undo(undoing.begin(A, {BOB: (B,)}, bytes([5] * 16)))
    network.pass_time(1.0)
    assert [each.message.ids[0] for each in under_way.values()] == [4, 5]


def test_what_was_under_way_when_a_kme_stopped_is_taken_back(network: Network) -> None:
    network.get_key(ALICE, REQUEST)
    while not len(network.kmes[BOB].records):
        network.step()
    network.kmes[ALICE].crash()
    network._on_the_way.clear()
    network.pass_time(1.0)
    assert left(network)[0] == 1
    network.pass_time(LATE_S + 2.0)
    assert left(network) == [0, 0, 0]


def test_what_a_master_was_given_stays_when_its_kme_starts_again(network: Network) -> None:
    answers = network.get_key(ALICE, REQUEST)
    network.settle()
    assert isinstance(answers[0], Keys)
    assert left(network) == [1, 1, 0]
    network.kmes[ALICE].crash()
    network.pass_time(LATE_S + 2.0)
    assert left(network) == [1, 1, 0]


def test_a_copy_that_arrives_after_it_was_taken_back_goes_as_well(network: Network) -> None:
    network.held = []
    failed(network)
    assert left(network) == [0, 0, 1]
    late, network.held = network.held[:1], None
    network._on_the_way += late
    network.settle()
    assert left(network) == [1, 0, 1]
    network.pass_time(LATE_S + 2.0)
    assert left(network) == [0, 0, 0]


def test_nobody_is_asked_for_what_is_too_old_by_now(network: Network) -> None:
    network.lost = {wire.Reclaim}
    failed(network)
    network.pass_time(LATE_S + 2.0)
    network.clock.advance(2 * 86400.0)
    network.pass_time(2.0)
    assert left(network)[2] == 0


def test_an_old_copy_of_the_store_takes_nothing_back(network: Network) -> None:
    """What it had under way the master may have been given since."""
    network.get_key(ALICE, REQUEST)
    network.flush()
    copy = dict(network.kmes[ALICE].store.values)
    network.settle()
    network.pass_time(2.0)
    network.get_key(BOB, GetKey(B, A))
    network.get_key(ALICE, GetKey(A, B, number=100))
    network.pass_time(2.0)
    assert left(network)[:2] == [1, 1]
    network.kmes[ALICE].start(copy)
    assert len(network.kmes[ALICE].records.outgoing) == 1
    network.pass_time(LATE_S + 2.0)
    assert left(network) == [1, 1, 0]


def test_what_did_not_come_takes_back_no_earlier_key_of_its_id(network: Network) -> None:
    """alice is set up anew, so nothing there knows that the ID was used; and bob's refusal is lost."""
    network.insert_keys(ALICE, InsertKeys(A, B, KeyMaterial(bytes(32)), 32, OWN_ID))
    network.settle()
    network.kmes[ALICE].start({})
    network.pass_time(2.0)
    network.produce(16)
    network.pass_time(2.0)
    network.lost = {wire.Carried}
    answers = network.insert_keys(ALICE, InsertKeys(A, B, KeyMaterial(bytes([1] * 32)), 32, OWN_ID))
    network.pass_time(5.0)
    assert isinstance(answers[0], Unavailable)
    network.pass_time(LATE_S + 2.0)
    assert left(network) == [1, 0, 0]
    fetched = network.get_key_with_ids(BOB, GetKeyWithIds(B, A, OWN_ID))
    network.settle()
    assert isinstance(fetched[0], Keys)
    assert fetched[0].runs[0].material == KeyMaterial(bytes(32))


def test_a_store_that_fails_while_a_window_is_waited_for_stops_the_kme_all_the_same(network: Network) -> None:
    network.lost = {wire.MarkNoted}
    network.pass_time(5.0)
    network.dead.add(CAROL)
    answers = network.get_key(ALICE, REQUEST)
    while not answers:
        network.pass_time(0.5)
    bob = network.kmes[BOB].kme
    assert any(pair.windows._waiting for pair in bob.peers[ALICE].pairs)
    bob.journal.fail(StoreFailure("it fails"))
    bob.abandon()
