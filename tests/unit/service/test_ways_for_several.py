"""A key for several slaves is the same for all: it travels to each of them as every one of their policies wants it."""

from typing import Any

import pytest

from keyhop.core.errors import KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.service.policy import PairPolicy, Policy, Rule
from keyhop.service.requests import GetKey, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL, DAVE = map(KmeId, ("alice", "bob", "carol", "dave"))
A, A2, B, B2, C, D = map(SaeId, ("a", "a2", "b", "b2", "c", "d"))
HOMES = {A: ALICE, A2: ALICE, B: BOB, B2: BOB, C: CAROL, D: DAVE}
LINE = ((ALICE, CAROL), (ALICE, DAVE), (BOB, DAVE))
"""bob is reached over dave only."""
RING = ((ALICE, CAROL), (BOB, CAROL), (ALICE, DAVE), (BOB, DAVE))
SHARES = {"relay": "secret-shared", "min_disjoint_paths": 2}
OVER_TWO = (("alice", "carol", "bob"), ("alice", "dave", "bob"))


def network(
    links: tuple[tuple[KmeId, KmeId], ...], *rules: Rule, terms: Terms | None = None, blocks: int = 32
) -> VirtualNetwork:
    policy, feeder = Policy(PairPolicy(), rules=rules), FeederOptions("on-demand")
    found = VirtualNetwork(HOMES, 1, policy=policy, links=links, feeder=feeder, terms=terms)
    found.settle()
    found.produce(blocks)
    found.settle()
    found.pass_time(2.0)
    return found


def ask(net: VirtualNetwork, *slaves: SaeId) -> Keys | KeyhopError:
    first, *others = slaves
    answers = net.get_key(ALICE, GetKey(A, first, additional_slaves=tuple(others), provenance=True))
    net.settle()
    net.pass_time(3.0)
    (answer,) = answers
    return answer


def paths(answer: Keys | KeyhopError) -> tuple[tuple[str, ...], ...]:
    assert isinstance(answer, Keys), answer
    assert answer.provenance is not None
    return answer.provenance.paths


@pytest.mark.parametrize("slave", [C, A2])
def test_who_may_only_have_keys_of_a_link_shares_none_with_who_is_reached_by_none(slave: SaeId) -> None:
    net = network(LINE, Rule("a", slave, {"direct_only": True}))
    refusal = ask(net, B, slave)
    assert isinstance(refusal, Unauthorised)
    assert refusal.message == f"for SAE {slave} only keys of a link may be used, and none leads to SAE b"
    assert paths(ask(net, D, slave))


def test_keys_of_a_link_only_are_for_all_where_one_may_have_no_others() -> None:
    net = network((*LINE, (ALICE, BOB)), Rule("a", C, {"direct_only": True}))
    assert paths(ask(net, B, C)) == (("alice", "bob"), ("alice", "carol"))


@pytest.mark.parametrize("slave", [C, A2])
def test_who_needs_shares_gets_no_key_that_somebody_else_has_in_one_piece(slave: SaeId) -> None:
    rule = Rule("a", slave, SHARES)
    failed = ask(network(LINE, rule), B, slave)
    assert isinstance(failed, Unavailable)
    assert "KME bob has no copy" in failed.message
    assert set(OVER_TWO) <= set(paths(ask(network(RING, rule), B, slave)))


@pytest.mark.parametrize("slaves", [(B, B2), (B2, B)])
def test_of_two_rules_the_stricter_one_counts_whoever_is_named_first(slaves: tuple[SaeId, ...]) -> None:
    net = network(RING, Rule("a", B, {"relay": "hop-by-hop"}), Rule("a", B2, SHARES))
    assert paths(ask(net, *slaves)) == OVER_TWO
    assert len(paths(ask(net, B))) == 1


@pytest.mark.parametrize(("sources", "comes"), [(set(), False), ({"relay, hop-by-hop"}, True)])
@pytest.mark.parametrize("slaves", [(B, C), (B, B2)])
def test_no_copy_is_relayed_where_one_may_have_no_relayed_bytes(
    slaves: tuple[SaeId, ...], sources: set[str], comes: bool
) -> None:
    net = network(LINE, Rule("a", slaves[-1], {"sources": frozenset({"kme", "virtual", *sources})}))
    answer = ask(net, *slaves)
    assert isinstance(answer, Keys if comes else Unavailable), answer


@pytest.mark.parametrize(("sources", "comes"), [(set(), False), ({"relay, hop-by-hop"}, True)])
def test_no_key_is_relayed_for_one_that_may_have_no_relayed_bytes(sources: set[str], comes: bool) -> None:
    net = network(LINE, Rule("a", B, {"sources": frozenset({"kme", "virtual", *sources})}))
    assert isinstance(ask(net, B), Keys if comes else Unavailable)


@pytest.mark.parametrize("rule", [{"relay": "hop-by-hop"}, {"relay": "secret-shared", "min_disjoint_paths": 2}])
@pytest.mark.parametrize("slaves", [(B, B2), (B2, B), (B2,)])
def test_as_usual_is_as_strict_as_it_is(slaves: tuple[SaeId, ...], rule: dict[str, Any]) -> None:
    net = network(RING, Rule("a", "b", rule), terms=Terms("secret-shared", 2, 2))
    assert paths(ask(net, *slaves)) == OVER_TWO


def test_who_is_content_with_less_than_usual_gets_less_alone() -> None:
    net = network(RING, Rule("a", "b", {"relay": "hop-by-hop"}), terms=Terms("secret-shared", 2, 2))
    assert len(paths(ask(net, B))) == 1


def test_where_one_leg_fails_at_once_no_pad_is_spent_for_the_others() -> None:
    net = network(LINE)
    stream = net.kmes[ALICE].peers[DAVE].neighbour.owned
    net.kmes[ALICE].peers[CAROL].neighbour.leasing.abandon()
    before = stream.taken
    assert isinstance(ask(net, C, D), Unavailable)
    assert stream.taken == before
