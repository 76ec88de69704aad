"""What a pair may have is all that it gets: sizes, numbers, sources and ages, at both ends."""

from typing import get_args

import pytest

from keyhop.core.errors import BadRequest, KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import label
from keyhop.network.pair import PairOptions
from keyhop.network.relay.messages import Strategy
from keyhop.network.relay.parcels import source_kind
from keyhop.service.kme_options import KmeOptions
from keyhop.service.policy import PairPolicy, Policy, Rule
from keyhop.service.requests import GetKey, GetKeyWithIds, GetStatus, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, A2, B, B2 = SaeId("a"), SaeId("a2"), SaeId("b"), SaeId("b2")
HOME = {A: ALICE, A2: ALICE, B: BOB, B2: BOB}
KEY = 32
QUANTUM = frozenset({"bb84"})


def network(*rules: Rule, wait_s: float = 0.2, key_lifetime_s: float = 86_400.0) -> VirtualNetwork:
    policy = Policy(PairPolicy(wait_s=wait_s), rules=rules)
    options = PairOptions(reserved_bytes_per_pair=0, key_lifetime_s=key_lifetime_s)
    found = VirtualNetwork(HOME, 1, policy=policy, options=options)
    found.settle()
    return found


def stock(net: VirtualNetwork, *sources: str) -> None:
    """Gives alice's stream a block of each source: other blocks go to bob's."""
    stream = net.kmes[ALICE].peers[BOB].neighbour.owned
    for source in sources:
        before = stream.produced
        for _ in range(4):
            if stream.produced == before:
                net.produce(source=source)
                net.pass_time(0.5)
        assert stream.produced > before


def give(net: VirtualNetwork, rules: tuple[Rule, ...], kme: KmeId, base: PairPolicy | None = None) -> None:
    net.kmes[kme].kme.reconfigure(KmeOptions(Policy(base or PairPolicy(wait_s=0.2), rules=rules), PairOptions()))


def spend_until_bb84(net: VirtualNetwork) -> None:
    """Others use up what comes before it."""
    stream = net.kmes[ALICE].peers[BOB].neighbour.owned
    while (age := stream.next_age()) and age.source != "bb84":
        got(ask(net, GetKey(A2, B)))


def ask(net: VirtualNetwork, request: GetKey) -> Keys | KeyhopError:
    answers = net.get_key(ALICE, request)
    net.settle()
    if not answers:
        net.pass_time(0.5)
    (answer,) = answers
    return answer


def fetch(net: VirtualNetwork, keys: Keys, master: SaeId = A, slave: SaeId = B) -> Keys | KeyhopError:
    answers = net.get_key_with_ids(BOB, GetKeyWithIds(slave, master, keys.runs[0].ids))
    net.settle()
    (answer,) = answers
    return answer


def got(answer: Keys | KeyhopError) -> Keys:
    assert isinstance(answer, Keys), answer
    return answer


def refused(answer: Keys | KeyhopError, kind: type[KeyhopError]) -> str:
    assert isinstance(answer, kind), answer
    return answer.message


def test_each_pair_has_its_own_sizes_and_numbers() -> None:
    sizes = {"min_size_bits": 512, "default_size_bits": 1024, "max_size_bits": 2048}
    net = network(Rule("a", "b", {**sizes, "max_keys_per_request": 2}))
    stock(net, "rate", "rate")
    assert got(ask(net, GetKey(A, B))).runs[0].size_bytes == 128
    assert got(ask(net, GetKey(A2, B))).runs[0].size_bytes == 32
    assert refused(ask(net, GetKey(A, B, size_bits=256)), BadRequest) == "size shall be between 512 and 2048"
    assert refused(ask(net, GetKey(A, B, number=3)), BadRequest) == "number shall be between 1 and 2"
    status = net.kmes[ALICE].delivery.get_status(GetStatus(A, B))
    assert (status.key_size_bits, status.min_key_size_bits, status.max_key_per_request) == (1024, 512, 2)
    (answer,) = net.get_key_with_ids(BOB, GetKeyWithIds(B, A, bytes(range(48))))
    assert refused(answer, BadRequest) == "at most 2 keys can be asked for at a time"


def test_a_key_for_several_has_to_suit_each_of_them() -> None:
    net = network(Rule("a", "b2", {"min_size_bits": 8, "default_size_bits": 64, "max_size_bits": 128}))
    stock(net, "rate", "rate")
    several = GetKey(A, B, additional_slaves=(B2,))
    assert refused(ask(net, several), BadRequest) == "size shall be between 8 and 128"
    assert got(ask(net, GetKey(A, B, size_bits=128, additional_slaves=(B2,)))).runs[0].size_bytes == 16


def test_bytes_of_another_source_are_never_taken_and_left_to_others() -> None:
    net = network(Rule("a", "b", {"sources": QUANTUM}))
    stock(net, "rate")
    assert refused(ask(net, GetKey(A, B)), Unavailable) == (
        "no key material is left for KME bob but what these SAEs may not have, by its source or age"
    )
    assert net.kmes[ALICE].delivery.get_status(GetStatus(A, B)).stored_key_count == 0
    assert net.kmes[ALICE].delivery.get_status(GetStatus(A2, B)).stored_key_count > 0
    stock(net, "bb84")
    while not isinstance(answer := ask(net, GetKey(A, B, provenance=True)), Keys):
        got(ask(net, GetKey(A2, B, size_bits=8192)))
    assert answer.provenance is not None
    assert answer.provenance.source == "bb84"
    assert got(fetch(net, answer)).runs[0].material == answer.runs[0].material


def test_a_run_that_ends_in_another_source_is_not_taken_either() -> None:
    net = network(Rule("a", "b", {"sources": QUANTUM}))
    stock(net, "start", "bb84", "rate")
    spend_until_bb84(net)
    of_bb84 = 4096 - 32  # a block without its tag's key
    assert refused(ask(net, GetKey(A, B, size_bits=8 * KEY, number=of_bb84 // KEY + 1)), Unavailable)
    assert got(ask(net, GetKey(A, B, size_bits=8 * KEY, number=of_bb84 // KEY))).runs[0].count == of_bb84 // KEY
    assert refused(ask(net, GetKey(A, B)), Unavailable)


def test_one_that_waits_for_a_source_holds_up_nobody_and_is_served_when_it_comes() -> None:
    net = network(Rule("a", "b", {"sources": QUANTUM, "wait_s": 60.0}))
    stock(net, "start", "bb84")
    waiting = net.get_key(ALICE, GetKey(A, B))
    net.settle()
    spend_until_bb84(net)
    assert not waiting
    net.pass_time(0.5)
    (answer,) = waiting
    got(answer)


def test_the_slaves_kme_goes_by_its_own_policy() -> None:
    net = network()
    stock(net, "rate")
    keys = got(ask(net, GetKey(A, B)))
    give(net, (Rule("a", "b", {"sources": QUANTUM}),), BOB)
    assert refused(fetch(net, keys), Unauthorised) == "these SAEs may not share keys that a rate made"
    give(net, (), BOB)
    got(fetch(net, keys))


def test_keys_that_a_kme_makes_are_a_source_and_so_is_what_their_pad_is_from() -> None:
    several = GetKey(A, B, additional_slaves=(B2,))
    net = network(Rule("a", "*", {"sources": QUANTUM}))
    stock(net, "start", "rate")
    assert refused(ask(net, several), BadRequest) == "for SAE b no key may be used that a KME made"
    give(net, (Rule("a", "*", {"sources": QUANTUM | {"kme"}}),), ALICE)
    assert "no key material is left for its pad" in refused(ask(net, several), Unavailable)
    give(net, (Rule("a", "*", {"sources": frozenset({"kme", "start"})}),), ALICE)
    keys = got(ask(net, several))
    give(net, (Rule("a", "b2", {"sources": QUANTUM}),), BOB)
    assert refused(fetch(net, keys, slave=B2), Unauthorised) == "these SAEs may not share keys that a kme made"
    got(fetch(net, keys, slave=B))


@pytest.mark.parametrize(("age_s", "is_handed_out"), [(9.0, True), (11.0, False)])
def test_bytes_older_than_a_keys_life_are_not_handed_out(age_s: float, is_handed_out: bool) -> None:
    net = network(Rule("a", "b", {"key_lifetime_s": 10.0}))
    stock(net, "rate")
    net.pass_time(age_s)
    answer = ask(net, GetKey(A, B))
    assert isinstance(answer, Keys) == is_handed_out
    got(ask(net, GetKey(A2, B)))


@pytest.mark.parametrize(("age_s", "is_fetched"), [(19.0, True), (21.0, False)])
@pytest.mark.parametrize("more", [(), (B2,)], ids=["stream", "record"])
def test_a_slave_has_as_long_again_to_fetch(age_s: float, is_fetched: bool, more: tuple[SaeId, ...]) -> None:
    net = network(Rule("a", "b", {"key_lifetime_s": 10.0}))
    stock(net, "rate")
    keys = got(ask(net, GetKey(A, B, additional_slaves=more)))
    net.pass_time(age_s)
    answer = fetch(net, keys)
    assert isinstance(answer, Keys) == is_fetched
    if not is_fetched:
        assert "not found" in refused(answer, BadRequest)


def test_another_policy_holds_from_the_next_request_on() -> None:
    net = network()
    stock(net, "rate")
    got(ask(net, GetKey(A, B)))
    give(net, (Rule("*", "*", {"sources": QUANTUM}),), ALICE)
    refused(ask(net, GetKey(A, B)), Unavailable)
    give(net, (), ALICE)
    got(ask(net, GetKey(A, B)))


def test_a_rule_says_whether_a_request_waits() -> None:
    net = network(Rule("a", "b", {"wait_s": 0.0}), wait_s=5.0)
    refused(ask(net, GetKey(A, B)), Unavailable)
    waiting = net.get_key(ALICE, GetKey(A2, B))
    stock(net, "rate")
    (answer,) = waiting
    got(answer)


def relay(net: VirtualNetwork, strategy: Strategy = "hop-by-hop", nodes: str = "C", needed: int = 1) -> None:
    """A block for alice's stream to bob, over other nodes."""
    data, now, source = (
        net.random.randbytes(4096),
        net.clock.wall(),
        label(source_kind(strategy), [(ALICE, KmeId(node), BOB) for node in nodes], needed),
    )
    assert net.kmes[BOB].peers[ALICE].relayed.filling.their_block(0, KeyMaterial(data), now, source)
    net.kmes[ALICE].peers[BOB].relayed.filling.own_block(0, KeyMaterial(data), now, source)
    net.settle()


def test_a_pair_that_may_only_have_keys_of_a_link_gets_no_relayed_ones() -> None:
    net = network(Rule("a", "b", {"direct_only": True}))
    relay(net)
    assert net.kmes[ALICE].delivery.get_status(GetStatus(A, B)).stored_key_count == 0
    assert refused(ask(net, GetKey(A, B)), Unavailable) == "no key material is left for KME bob"
    assert "no key material is left for its pad" in refused(
        ask(net, GetKey(A, B, additional_slaves=(B2,))), Unavailable
    )
    keys = got(ask(net, GetKey(A2, B)))
    give(net, (Rule("*", "*", {"direct_only": True}),), BOB)
    assert refused(fetch(net, keys, master=A2), Unauthorised) == (
        "these SAEs may only share keys of a link, and this one was relayed"
    )
    give(net, (), BOB)
    got(fetch(net, keys, master=A2))
    stock(net, "rate")
    got(ask(net, GetKey(A, B)))


def test_a_pair_that_may_only_have_keys_of_a_link_gets_none_of_a_kme_that_none_leads_to() -> None:
    net = network(Rule("a", "b", {"direct_only": True}))
    net.kmes[ALICE].peers[BOB].direct = None
    assert refused(ask(net, GetKey(A, B)), Unauthorised) == (
        "these SAEs may only share keys of a link, and none leads to KME bob"
    )
    assert refused(ask(net, GetKey(A, B2, additional_slaves=(B,))), Unauthorised) == (
        "for SAE b only keys of a link may be used, and none leads to it"
    )
    with pytest.raises(Unauthorised):
        net.kmes[ALICE].delivery.get_status(GetStatus(A, B))


def test_shares_are_wanted_where_a_single_node_must_not_know_the_key() -> None:
    for strategy in get_args(Strategy):
        comes = strategy == "secret-shared"
        net = network(Rule("a", "*", {"relay": "secret-shared", "min_disjoint_paths": 2}))
        relay(net, strategy, "CD" if comes else "C", 2 if comes else 1)
        assert isinstance(ask(net, GetKey(A, B)), Keys) == comes
        assert isinstance(ask(net, GetKey(A, B, additional_slaves=(B2,))), Keys) == comes
        stock(net, "rate")
        got(ask(net, GetKey(A, B)))


@pytest.mark.parametrize(
    ("rule", "nodes", "needed", "comes"),
    [
        ({"min_disjoint_paths": 3}, "CD", 2, False),
        ({"min_disjoint_paths": 3}, "CDE", 3, True),
        ({"min_disjoint_paths": 3}, "CDE", 2, False),
        ({"min_disjoint_paths": 3, "relay_threshold": 2}, "CDE", 2, True),
    ],
)
def test_a_stream_that_fewer_nodes_can_betray_than_the_policy_wants_gives_nothing(
    rule: dict[str, int], nodes: str, needed: int, comes: bool
) -> None:
    net = network(Rule("a", "*", {"relay": "secret-shared", **rule}))
    relay(net, "secret-shared", nodes, needed)
    assert isinstance(ask(net, GetKey(A, B)), Keys) == comes
