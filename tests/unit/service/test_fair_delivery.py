"""A greedy SAE, and an honest one that is served all the same: where requests are answered."""

from itertools import product

import pytest

from keyhop.core.errors import KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.pair import PairOptions
from keyhop.service.policy import Allow, PairPolicy, Policies, Policy, sae_pairs
from keyhop.service.requests import GetKey, GetStatus, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")
GREEDY, HONEST, B, B2 = SaeId("greedy"), SaeId("honest"), SaeId("b1"), SaeId("b2")
HOME = {GREEDY: ALICE, HONEST: ALICE, B: BOB, B2: BOB}
RESERVED = "no key material is left for KME bob but what is reserved for other SAEs"


@pytest.fixture
def network() -> VirtualNetwork:
    """Four pairs with 512 bytes each."""
    network = VirtualNetwork(
        HOME,
        1,
        policy=Policy(PairPolicy(wait_s=0.5)),
        options=PairOptions(stock_bytes=64 << 10, reserved_bytes_per_pair=512),
    )
    network.settle()
    network.produce(4)
    network.settle()
    return network


def ask(network: VirtualNetwork, master: SaeId, slave: SaeId = B, number: int = 1, *more: SaeId) -> Keys | KeyhopError:
    answers = network.get_key(ALICE, GetKey(master, slave, number=number, additional_slaves=more))
    network.settle()
    if not answers:
        network.pass_time(1.0)
    (answer,) = answers
    return answer


def stored(network: VirtualNetwork, caller: SaeId, peer: SaeId = B) -> int:
    return network.kmes[ALICE].delivery.get_status(GetStatus(caller, peer)).stored_key_count


def drain(network: VirtualNetwork, *more: SaeId) -> Unavailable:
    """The answer that ends it."""
    for _ in range(10_000):
        answer = ask(network, GREEDY, B, 1, *more)
        if not isinstance(answer, Keys):
            assert isinstance(answer, Unavailable)
            return answer
    raise AssertionError("it never ended")


def test_the_honest_finds_its_share_and_is_told_how_much_it_is(network: VirtualNetwork) -> None:
    assert drain(network).message == RESERVED
    assert (stored(network, GREEDY), stored(network, HONEST)) == (0, 16)
    assert isinstance(ask(network, HONEST, number=16), Keys)
    assert isinstance(ask(network, HONEST, B2, 16), Keys)
    assert stored(network, HONEST) == 0


def test_pads_are_charged_to_the_master_and_its_first_slave_there(network: VirtualNetwork) -> None:
    assert drain(network, B2).message == "KME bob has no copy: no key material is left for its pad"
    assert stored(network, GREEDY) == 0
    assert stored(network, GREEDY, B2) == 16
    assert isinstance(ask(network, HONEST, number=16), Keys)


def test_when_there_is_nothing_at_all_the_reason_does_not_speak_of_others(network: VirtualNetwork) -> None:
    drain(network)
    for master, slave in ((HONEST, B), (HONEST, B2), (GREEDY, B2)):
        ask(network, master, slave, 16)
    answer = ask(network, GREEDY)
    assert isinstance(answer, Unavailable)
    assert answer.message == "no key material is left for KME bob"


def test_while_all_starve_the_link_is_shared(network: VirtualNetwork) -> None:
    drain(network)
    for pair in ((GREEDY, B2), (HONEST, B), (HONEST, B2)):
        ask(network, *pair, 16)
    honest = 0
    for _ in range(60):
        network.produce(2, size=256)
        network.settle()
        drain(network)
        honest += isinstance(ask(network, HONEST), Keys)
    assert honest == 60


@pytest.mark.parametrize(
    "allow",
    [
        (),
        (Allow("greedy", "b1"), Allow("greedy", "b1"), Allow("*", "b2"), Allow("honest", "*"), Allow("b1", "a3")),
        (Allow("b1", "greedy"),),
    ],
)
@pytest.mark.parametrize("me", [ALICE, BOB, CAROL])
def test_pairs_are_those_that_the_policy_allows(allow: tuple[Allow, ...], me: KmeId) -> None:
    homes, policy = HOME | {SaeId("c1"): CAROL, SaeId("a3"): ALICE}, Policy(allow=allow)
    found = sae_pairs(policy, homes, me)
    assert found.keys() == {ALICE, BOB, CAROL} - {me}
    for peer, pairs in found.items():
        allowed = {
            (master, slave)
            for master, slave in product(homes, homes)
            if homes[master] == me and homes[slave] == peer and is_allowed(policy, master, slave)
        }
        assert {pair for pair in product(homes, homes) if pair in pairs} == allowed
        assert len(pairs) == len(allowed)
    assert sae_pairs(policy, {}, me) == {}


def is_allowed(policy: Policy, master: SaeId, slave: SaeId) -> bool:
    try:
        Policies(policy).pair(master, slave)
    except Unauthorised:
        return False
    return True
