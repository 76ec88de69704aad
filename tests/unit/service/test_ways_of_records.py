"""The slave's KME looks how a record came, as it does with bytes of a stream, and goes by its own policy."""

import pytest
from masters_in_a_line import ALICE, BOB, CAROL, HOME, KEYS, A, B, C, Line, own

from keyhop.core.errors import Unauthorised
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.pair import PairOptions
from keyhop.service.policy import PairPolicy, Policy, Rule
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

RELAYED = "these SAEs may only share keys of a link, and this one was relayed"
NOT_BY = "these SAEs may not share keys that came by way of a"
NOT_KNOWN_BY_ONE = "these SAEs may only share keys that nobody on fewer than 2 paths knows"
SHARED = {"relay": "secret-shared", "min_disjoint_paths": 2}


def give(net: VirtualNetwork, kme: KmeId, **gives: object) -> None:
    policy = Policy(PairPolicy(wait_s=5.0), rules=(Rule("a", "*", gives),))
    net.kmes[kme].kme.reconfigure(net.kmes[kme].options_with(policy))


def key(net: VirtualNetwork) -> Keys:
    answers = net.get_key(ALICE, GetKey(A, C, size_bits=8192))
    net.settle()
    (answer,) = answers
    assert isinstance(answer, Keys), answer
    return answer


@pytest.mark.parametrize(
    ("slave", "gives", "refusal"),
    [
        (C, {"direct_only": True}, RELAYED),
        (C, {"sources": frozenset({"virtual", "sae"})}, f"{NOT_BY} relay, hop-by-hop"),
        (C, SHARED, f"{NOT_KNOWN_BY_ONE}, and this one came by way of a relay, hop-by-hop"),
        (C, {"sources": frozenset({"relay, hop-by-hop", "sae"})}, None),
        (B, {"direct_only": True}, None),
        (B, SHARED, None),
        (B, {"sources": frozenset({"virtual", "sae"})}, None),
        (B, {"sources": frozenset({"bb84", "sae"})}, f"{NOT_BY} virtual"),
    ],
    ids=str,
)
@pytest.mark.parametrize("crash", [False, True], ids=["", "crash"])
def test_it_goes_by_its_own_policy(slave: SaeId, gives: dict[str, object], refusal: str | None, crash: bool) -> None:
    line = Line()
    ids, kme = line.inserted(own(slave)), HOME[slave]
    if crash:
        line.kmes[kme].crash()
        line.pass_time(1.0)
    give(line, kme, **gives)
    answer = line.fetch(slave, ids)
    if refusal is None:
        assert answer == KEYS
        return
    assert isinstance(answer, Unauthorised)
    assert answer.message == refusal
    give(line, kme)
    assert line.fetch(slave, ids) == KEYS


def test_a_seed_counts_as_what_it_was_taken_of() -> None:
    rules = (Rule("*", "*", {"when_dry": "expand"}),)
    options = PairOptions(reserved_bytes_per_pair=0, expand=True)
    net = VirtualNetwork(HOME, 1, policy=Policy(rules=rules), options=options, links=((ALICE, BOB), (BOB, CAROL)))
    net.settle()
    for _ in range(8):
        net.produce(4)
        net.pass_time(1.0)
    while (keys := key(net)).runs[0].mark != "expanded":
        pass
    give(net, CAROL, when_dry="expand", direct_only=True)
    (refusal,) = net.get_key_with_ids(CAROL, GetKeyWithIds(C, A, keys.runs[0].ids))
    assert isinstance(refusal, Unauthorised)
    assert refusal.message == RELAYED
