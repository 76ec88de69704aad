"""What a policy comes to for a pair of SAEs: which rule counts, and that it is found out once."""

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.errors import BadRequest, Unauthorised
from keyhop.core.ids import KmeId, SaeId
from keyhop.service.policy import Allow, PairPolicy, Policies, Policy, Rule, SaeClass, policies, sae_pairs

A, B, C = SaeId("a"), SaeId("b"), SaeId("c")
BANKS = SaeClass("banks", ("a", "bank-*"))


def rule(master: str, slave: str, priority: int) -> Rule:
    return Rule(master, slave, {"priority": priority})


WEAKEST_FIRST = [
    ("*", "*"),
    ("*", "backup"),
    ("*", "b"),
    ("banks", "*"),
    ("banks", "backup"),
    ("banks", "b"),
    ("a", "*"),
    ("a", "backup"),
    ("a", "b"),
]


@pytest.mark.parametrize("count", range(1, len(WEAKEST_FIRST) + 1))
def test_the_most_specific_rule_counts_in_whatever_order_they_stand(count: int) -> None:
    rules = [rule(master, slave, n % 8) for n, (master, slave) in enumerate(WEAKEST_FIRST[:count])]
    classes = (BANKS, SaeClass("backup", ("b", "c")))
    for order in (rules, rules[::-1]):
        found = Policies(Policy(rules=tuple(order), classes=classes)).pair(A, B)
        assert found.priority == (count - 1) % 8


def test_of_two_that_are_equally_specific_the_later_one_counts() -> None:
    classes = (BANKS, SaeClass("others", ("a",)))
    for first, second in permutations((rule("banks", "*", 1), rule("others", "*", 2))):
        assert Policies(Policy(classes=classes, rules=(first, second))).pair(A, B).priority == second.gives["priority"]


def test_each_field_comes_from_the_rule_that_gives_it() -> None:
    base = PairPolicy(wait_s=7.0, max_keys_per_request=9)
    rules = (
        Rule("a", "b", {"direct_only": True}),
        Rule("a", "*", {"priority": 6, "direct_only": False}),
        Rule("*", "*", {"priority": 1, "sources": frozenset({"bb84"})}),
        Rule("b", "*", {"max_keys_per_request": 1}),
    )
    assert Policies(Policy(base, rules=rules)).pair(A, B) == PairPolicy(
        wait_s=7.0, max_keys_per_request=9, direct_only=True, priority=6, sources=frozenset({"bb84"})
    )
    assert Policies(Policy(base, rules=rules)).pair(C, B).priority == 1


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("a", True), ("bank-", True), ("bank-1", True), ("bank", False), ("xbank-1", False), ("aa", False), ("a.", False)],
)
def test_a_class_has_those_that_it_names(name: str, is_one: bool) -> None:
    assert (SaeId(name) in BANKS) == is_one


@given(st.text(st.characters(codec="ascii"), min_size=1), st.text(st.characters(codec="ascii"), min_size=1))
def test_only_the_star_of_a_pattern_means_anything_but_itself(text: str, other: str) -> None:
    pattern = SaeClass("x", (text.replace("*", "-"),))
    assert SaeId(text.replace("*", "-")) in pattern
    assert (SaeId(other) in pattern) == (other == text.replace("*", "-"))


def test_who_may_share_keys() -> None:
    found = Policies(Policy(allow=(Allow("banks", "b"), Allow("c", "*")), classes=(BANKS,)))
    found.pair(A, B)
    found.pair(SaeId("bank-7"), B)
    found.pair(C, A)
    for master, slave in ((A, C), (B, A)):
        with pytest.raises(Unauthorised):
            found.pair(master, slave)
    with pytest.raises(BadRequest):
        found.pair(C, C)


def test_what_is_remembered_is_bounded_and_forgotten_with_another_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "MAX_REMEMBERED", 3)
    found = Policies(Policy())
    pairs = [(SaeId(f"m{i}"), SaeId(f"s{j}")) for i, j in product(range(4), range(4))]
    for master, slave in pairs:
        assert found.pair(master, slave) is found.pair(master, slave)
        assert len(found._pairs) <= 3
    found.replace(Policy(allow=(Allow("m0", "*"),), rules=(rule("m0", "*", 7),)))
    assert found.pair(*pairs[0]).priority == 7
    with pytest.raises(Unauthorised):
        found.pair(*pairs[-1])


def test_pairs_for_which_the_same_holds_share_it() -> None:
    found = Policies(Policy(rules=(rule("a", "*", 7),)))
    assert found.pair(B, A) is found.pair(C, A)
    assert found.pair(A, B) is not found.pair(C, A)


def test_a_class_has_its_part_in_what_is_reserved() -> None:
    homes = {A: KmeId("alice"), SaeId("bank-1"): KmeId("alice"), C: KmeId("alice"), B: KmeId("bob")}
    policy = Policy(allow=(Allow("banks", "b"), Allow("a", "*")), classes=(BANKS,))
    (pairs,) = sae_pairs(policy, homes, KmeId("alice")).values()
    assert len(pairs) == 2
    assert [master for master in homes if (master, B) in pairs] == [A, SaeId("bank-1")]
