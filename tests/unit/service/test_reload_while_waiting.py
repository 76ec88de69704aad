"""What holds for SAEs is what holds when they get keys, not when they asked: a reload may come in between."""

import pytest

from keyhop.core.errors import KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.network import wire
from keyhop.network.pair import PairOptions
from keyhop.service.policy import Allow, PairPolicy, Policy, Rule
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys, InsertKeys, Keys
from keyhop.testing.domains import EAST, TwoDomains
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL = map(KmeId, ("alice", "bob", "carol"))
A, A2, B, C = map(SaeId, ("a", "a2", "b", "c"))
BEFORE = Policy(PairPolicy(wait_s=5.0, abroad_wait_s=20.0))
NOT_ALLOWED = Policy(BEFORE.base, allow=(Allow("a2", "*"),))
STRICTER = Policy(BEFORE.base, rules=(Rule("a", "b", {"hybrid": "xor"}),))
OTHERS = Policy(BEFORE.base, rules=(Rule("a2", "b", {"hybrid": "xor"}),))
CHANGED = "what holds for these SAEs has changed since they asked"
OWN_ID = bytes.fromhex("0190d3c8f1a27abc9def0123456789ab")


class Network(VirtualNetwork):
    """Three KMEs without any key yet; messages of some kinds can be lost."""

    def __init__(self) -> None:
        self.home = {A: ALICE, A2: ALICE, B: BOB, C: CAROL}
        self.lost: set[type[wire.Body]] = set()
        super().__init__(self.home, 1, policy=BEFORE, options=PairOptions(reserved_bytes_per_pair=0))
        self.settle()

    def _send(self, source: KmeId, target: KmeId, data: bytes) -> None:
        if not isinstance(wire.decode(data).body, tuple(self.lost)):
            super()._send(source, target, data)

    def reload(self, kme: KmeId, policy: Policy) -> None:
        """As a node does."""
        self.kmes[kme].kme.reconfigure(self.kmes[kme].options_with(policy))

    def key_comes(self) -> None:
        """Links bring some, and those who wait may have it."""
        self.produce(32)
        self.pass_time(1.0)


@pytest.fixture
def network() -> Network:
    return Network()


def is_refused(answers: list[Keys | KeyhopError] | list[InsertedKeys | KeyhopError]) -> bool:
    (answer,) = answers
    return isinstance(answer, Unavailable) and CHANGED in answer.message


@pytest.mark.parametrize("policy", [NOT_ALLOWED, STRICTER])
def test_who_waits_for_a_stream_gets_nothing_that_he_may_not_have_by_now(network: Network, policy: Policy) -> None:
    answers = network.get_key(ALICE, GetKey(A, B))
    network.reload(ALICE, policy)
    network.key_comes()
    assert is_refused(answers)
    for pair in network.kmes[ALICE].peers[BOB].pairs:
        assert pair.owned.ledger.balances(pair.owned.available_bytes)
        assert pair.owned.ledger.delivered == 0


def test_who_waits_for_a_slave_that_has_moved_asks_again(network: Network) -> None:
    answers = network.get_key(ALICE, GetKey(A, B))
    network.home[B] = CAROL
    network.reload(ALICE, BEFORE)
    network.key_comes()
    assert is_refused(answers)


@pytest.mark.parametrize("policy", [BEFORE, OTHERS])
def test_a_reload_that_changes_nothing_for_them_keeps_nobody_from_keys(network: Network, policy: Policy) -> None:
    alone, both = network.get_key(ALICE, GetKey(A, B)), network.get_key(ALICE, GetKey(A, B, additional_slaves=(C,)))
    network.reload(ALICE, policy)
    network.key_comes()
    assert isinstance(alone[0], Keys)
    assert isinstance(both[0], Keys)


@pytest.mark.parametrize("policy", [NOT_ALLOWED, STRICTER])
@pytest.mark.parametrize("ids", [b"", OWN_ID])
def test_records_that_nobody_may_have_by_now_are_taken_back(network: Network, policy: Policy, ids: bytes) -> None:
    made = network.get_key(ALICE, GetKey(A, B, additional_slaves=(C,)))
    brought = network.insert_keys(ALICE, InsertKeys(A, B, KeyMaterial(bytes(32)), 32, ids, additional_slaves=(C,)))
    network.reload(ALICE, policy)
    network.key_comes()
    assert is_refused(made)
    assert is_refused(brought)
    assert [len(network.kmes[kme].records) for kme in (BOB, CAROL)] == [0, 0]


def test_who_waits_for_a_delivery_window_gets_what_he_may_have_when_it_opens(network: Network) -> None:
    network.key_comes()
    answers = network.get_key(ALICE, GetKey(A, B))
    network.settle()
    assert isinstance(answers[0], Keys)
    request = GetKeyWithIds(B, A, answers[0].runs[0].ids)
    network.lost = {wire.MarkNoted}
    network.pass_time(5.0)
    fetched = network.get_key_with_ids(BOB, request)
    assert fetched == []
    network.reload(BOB, NOT_ALLOWED)
    network.lost = set()
    network.pass_time(1.0)
    assert isinstance(fetched[0], Unauthorised)
    network.reload(BOB, BEFORE)
    again = network.get_key_with_ids(BOB, request)
    network.settle()
    assert isinstance(again[0], Keys)


def test_what_comes_from_another_domain_is_let_in_as_holds_when_all_have_it() -> None:
    both = TwoDomains("a", "b")
    gateway = both.east.kmes[EAST]
    gateway.kme.reconfigure(gateway.options_with(BEFORE))
    both.east.dead.add(BOB)
    answers = both.get_key(GetKey(A, B))
    both.pass_time(0.5)
    assert answers == []
    gateway.kme.reconfigure(gateway.options_with(NOT_ALLOWED))
    both.east.dead.clear()
    both.pass_time(12.0)
    assert isinstance(answers[0], Unavailable)
    assert all(len(kme.records) == 0 for network in both.networks for kme in network.kmes.values())
