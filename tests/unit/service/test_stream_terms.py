"""A pair of SAEs that wants its keys relayed in shares gets them from stock, as all others do."""

from dataclasses import replace

import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.origin import kind_of
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.service.policy import Allow, PairPolicy, Policy, Rule, SaeClass, sae_pairs, stream_terms
from keyhop.service.requests import GetKey, Keys
from keyhop.testing.network import VirtualNetwork

A, B, C, D = (KmeId(name) for name in "ABCD")
HOME = {SaeId(f"{name.lower()}{number}"): KmeId(name) for name in "ABCD" for number in (1, 2)}
A1, A2, C1, C2 = (SaeId(name) for name in ("a1", "a2", "c1", "c2"))
SQUARE = ((A, B), (B, C), (A, D), (C, D))
SHARED = {"relay": "secret-shared", "min_disjoint_paths": 2, "relay_threshold": None}
STRICT = Terms("secret-shared", 2, 2)


def network(*rules: Rule, least_bytes: int = 8192) -> VirtualNetwork:
    policy = Policy(rules=rules)
    made = VirtualNetwork(HOME, links=SQUARE, policy=policy, feeder=FeederOptions(least_bytes=least_bytes))
    made.settle()
    return made


def run(network: VirtualNetwork, seconds: int) -> None:
    for _ in range(seconds):
        network.produce(4)
        network.pass_time(1.0)


def came_by(network: VirtualNetwork, source: KmeId, destination: KmeId) -> str:
    age = network.kmes[source].peers[destination].relayed.owned.next_age()
    assert age is not None
    return kind_of(age.source)


def delivered(network: VirtualNetwork, master: SaeId, slave: SaeId) -> int:
    """How many bytes of a stream one key takes."""
    stream = network.kmes[HOME[master]].peers[HOME[slave]].relayed.owned
    before = stream.ledger.delivered
    answers = network.get_key(HOME[master], GetKey(master, slave))
    network.settle()
    assert isinstance(answers[0], Keys), answers
    return stream.ledger.delivered - before


def reload(network: VirtualNetwork, *rules: Rule) -> None:
    for kme in network.kmes.values():
        kme.kme.reconfigure(kme.options_with(Policy(rules=rules)))


def test_a_pair_that_wants_shares_is_served_from_stock_and_so_are_the_others() -> None:
    sites = network(Rule("a1", "c1", SHARED))
    run(sites, 20)
    assert came_by(sites, A, C) == "relay, secret-shared"
    assert delivered(sites, A1, C1) == delivered(sites, A2, C2) == 32
    for source, destination in ((C, A), (B, D), (D, B)):
        assert came_by(sites, source, destination) == "relay, hop-by-hop"


def test_a_reload_changes_the_way_and_what_came_by_a_weaker_one_is_given_up_at_both_ends() -> None:
    sites = network()
    run(sites, 20)
    assert came_by(sites, A, C) == "relay, hop-by-hop"
    reload(sites, Rule("a1", "*", SHARED))
    run(sites, 20)
    assert came_by(sites, A, C) == "relay, secret-shared"
    assert delivered(sites, A1, C1) == 32
    owned, followed = sites.kmes[A].peers[C].relayed.owned, sites.kmes[C].peers[A].relayed.followed
    assert owned.ledger.voided > 0
    assert followed.untaken_units == owned.stock_units - owned.leased_units
    for stream in (owned, followed):
        assert stream.ledger.balances(stream.available_bytes)


def test_nobody_gets_after_a_reload_what_came_or_still_comes_by_the_weaker_way() -> None:
    sites = network()
    run(sites, 3)
    while sites.get_key(A, GetKey(A2, C2, size_bits=8192)):
        sites.settle()  # until the feeder has sent more, which do not arrive before the reload
    under_way = [parcel.way.strategy for parcel in sites.kmes[A].kme.feeder._feeds[C].parcels]
    assert under_way
    assert set(under_way) == {"hop-by-hop"}
    for kme in sites.kmes.values():
        options = kme.options_with(Policy())
        kme.kme.reconfigure(replace(options, terms=STRICT, stream_terms=dict.fromkeys(options.stream_terms, STRICT)))
    waiting = sites.get_key(A, GetKey(A1, C1, provenance=True))
    run(sites, 2)
    (answer,) = waiting
    assert isinstance(answer, Keys)
    assert answer.provenance is not None
    assert set(answer.provenance.paths) == {(A, B, C), (A, D, C)}


def test_what_came_by_a_stricter_way_is_used_up_when_nobody_asks_for_it_any_more() -> None:
    sites = network(Rule("a1", "*", SHARED))
    run(sites, 20)
    reload(sites)
    run(sites, 5)
    assert came_by(sites, A, C) == "relay, secret-shared"
    assert delivered(sites, A1, C1) == 32


def test_who_is_content_with_one_path_is_served_while_there_is_only_one() -> None:
    """The stream is not fed then, so his keys are relayed by themselves, as many as he asks for."""
    sites = network(Rule("a1", "c1", SHARED))
    sites.cut.update({(A, D), (C, D)})
    for one, other in ((A, D), (C, D)):
        sites.kmes[one].peers[other].neighbour.generating = False
        sites.kmes[other].peers[one].neighbour.generating = False
    run(sites, 20)
    assert sites.kmes[A].peers[C].relayed.owned.stock_units == 0
    answers = sites.get_key(A, GetKey(A2, C2, 1024))
    sites.settle()
    assert isinstance(answers[0], Keys)


def terms(*rules: Rule, usual: Terms | None = None, policy: Policy | None = None) -> dict[KmeId, Terms]:
    whole = replace(policy or Policy(), rules=rules)
    return stream_terms(whole, sae_pairs(whole, HOME, A), usual or Terms())


@pytest.mark.parametrize(
    ("rule", "where"),
    [
        (Rule("*", "*", SHARED), {B, C, D}),
        (Rule("a1", "*", SHARED), {B, C, D}),
        (Rule("*", "c1", SHARED), {C}),
        (Rule("firsts", "c1", SHARED), {C}),
        (Rule("b1", "*", SHARED), set()),
        (Rule("a1", "c1", SHARED | {"direct_only": True}), set()),
        (Rule("a1", "c1", SHARED | {"sources": frozenset({"bb84"})}), set()),
        (Rule("a1", "c1", {"relay": "xor-at-destination"}), set()),
        (Rule("a1", "c1", {"priority": 7}), set()),
    ],
)
def test_the_way_is_as_strict_as_a_rule_for_pairs_there_wants_it(rule: Rule, where: set[KmeId]) -> None:
    policy = Policy(classes=(SaeClass("firsts", ("*1",)),))
    found = terms(rule, policy=policy)
    assert found == {kme: STRICT if kme in where else Terms() for kme in (B, C, D)}


def test_of_several_the_strictest_counts_and_the_usual_one_is_kept_where_it_is_as_strict() -> None:
    three = SHARED | {"min_disjoint_paths": 3}
    found = terms(Rule("a1", "c1", SHARED), Rule("a2", "c2", three), Rule("a1", "b1", SHARED))
    assert found == {B: STRICT, C: Terms("secret-shared", 3, 3), D: Terms()}
    usual = Terms("secret-shared", 4, 2, 2)
    assert terms(Rule("a1", "c1", SHARED), usual=usual)[C] == usual


def test_pairs_that_may_not_share_keys_count_for_nothing() -> None:
    policy = Policy(allow=(Allow("a1", "c1"),))
    assert terms(Rule("a2", "c2", SHARED), policy=policy)[C] == Terms()
    assert terms(Rule("a1", "*", SHARED), policy=policy)[C] == STRICT


def test_the_priority_of_the_feeder_is_no_rules() -> None:
    policy = Policy(PairPolicy(priority=1))
    assert terms(Rule("a1", "c1", SHARED | {"priority": 7}), policy=policy)[C].priority == Terms().priority
