"""What the policy of a pair comes to when its SAEs are of two domains: at the KMEs of both, and at the gateway."""

import pytest

from keyhop.core.errors import BadRequest, KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.pair import PairOptions
from keyhop.service.crossing import Crossing
from keyhop.service.etsi020.problems import Problem
from keyhop.service.etsi020.transfer import Saes
from keyhop.service.gateway.admitting import Admitting
from keyhop.service.gauges import Quota
from keyhop.service.kme_options import KmeOptions
from keyhop.service.limits import Limits
from keyhop.service.meters import Limit
from keyhop.service.policy import Allow, Hybrid, PairPolicy, Policies, Policy, Rule
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.domains import ALICE, BOB, EAST, WEST, Domain, Domains, TwoDomains
from keyhop.testing.virtual import VirtualClock

A, A2, M, W, E, B, B2 = map(SaeId, ("a", "a2", "m", "w", "e", "b", "b2"))
MID, MID2 = KmeId("mid"), KmeId("mid2")
PATIENT = PairPolicy(wait_s=1.0, abroad_wait_s=4.0)


def both(master: Policy | None = None, slave: Policy | None = None, *, per_domain: bool = False) -> Domains:
    """alice ── west ══ east ── bob."""
    homes = {A: ALICE, A2: ALICE, W: WEST, E: EAST, B: BOB, B2: BOB}
    return Domains(
        homes,
        Domain((ALICE, WEST), {WEST: {EAST: ("e*", "b*")}}, policy=master, per_domain=per_domain),
        Domain((BOB, EAST), {EAST: {WEST: ("a*", "w*")}}, policy=slave, per_domain=per_domain),
    )


def ruled(**gives: object) -> Policy:
    """A rule for the pair a and b; what holds for all others is usual."""
    return Policy(PATIENT, rules=(Rule("a", "b", gives), Rule("w", "b", gives)))


def ask(domains: Domains, request: GetKey, seconds: float = 1.0) -> Keys | KeyhopError:
    answers = domains.get_key(request)
    domains.pass_time(seconds)
    (answer,) = answers
    return answer


def fetch(domains: Domains, slave: SaeId, master: SaeId, keys: Keys) -> Keys | KeyhopError:
    (answer,) = domains.get_key_with_ids(GetKeyWithIds(slave, master, keys.runs[0].ids))
    return answer


def records(domains: Domains) -> int:
    return sum(len(kme.records) for network in domains.networks for kme in network.kmes.values())


UNLESS = "unless per_domain is set for it"
DIRECT = f"for SAE b only keys of a link may be used, and no link leads into another domain, {UNLESS}"
DISJOINT = f"for SAE b keys have to come over 2 paths that share no node, and a gateway is on all of them, {UNLESS}"


@pytest.mark.parametrize("master", [A, W])
@pytest.mark.parametrize(
    ("gives", "kind", "message"),
    [
        ({"direct_only": True}, Unauthorised, DIRECT),
        ({"relay": "secret-shared", "min_disjoint_paths": 2}, Unauthorised, DISJOINT),
        ({"sources": frozenset({"bb84"})}, BadRequest, "for SAE b no key may be used that a KME made"),
        ({"max_size_bits": 128, "default_size_bits": 128}, BadRequest, "size shall be between 64 and 128"),
        ({"max_keys_per_request": 1}, BadRequest, "number shall be between 1 and 1"),
        ({"hybrid": "xor"}, BadRequest, ""),
    ],
)
def test_what_cannot_hold_is_refused_at_the_masters_kme(
    master: SaeId, gives: dict[str, object], kind: type[KeyhopError], message: str
) -> None:
    domains = both(ruled(**gives))
    refusal = ask(domains, GetKey(master, B, 2, 256))
    assert isinstance(refusal, kind)
    assert message in refusal.message
    assert isinstance(ask(domains, GetKey(A2, B, 2, 256)), Keys)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (Policy(allow=(Allow("a2", "*"),)), "these SAEs may not share keys"),
        (ruled(direct_only=True), DIRECT),
        (ruled(relay="secret-shared", min_disjoint_paths=2), DISJOINT),
        (ruled(sources=frozenset({"virtual"})), "for SAE b the sources of keys do not include etsi020"),
        (ruled(hybrid="kdf"), "for SAE b keys have to be combined with ML-KEM, and those of another domain are not"),
    ],
)
def test_the_masters_kme_is_told_what_the_other_domain_does_not_allow(policy: Policy, reason: str) -> None:
    domains = both(Policy(PATIENT), policy)
    for master in (A, W):
        refusal = ask(domains, GetKey(master, B))
        assert isinstance(refusal, Unavailable)
        if master == W:
            assert reason in refusal.message
    accounts = {(way, what): n for way, what, n in domains.network(EAST).kmes[EAST].kme.gateway[WEST].accounts}
    assert accounts == {("received", "refused"): 2}
    assert isinstance(ask(domains, GetKey(A2, B)), Keys)


@pytest.mark.parametrize("gives", [{"direct_only": True}, {"relay": "secret-shared", "min_disjoint_paths": 2}])
def test_the_slaves_kme_goes_by_its_own_file(gives: dict[str, object]) -> None:
    domains = both()
    keys = ask(domains, GetKey(A, B))
    assert isinstance(keys, Keys)
    options = KmeOptions(ruled(**gives), PairOptions())
    domains.network(BOB).kmes[BOB].kme.reconfigure(options)
    refusal = fetch(domains, B, A, keys)
    assert isinstance(refusal, Unauthorised)
    assert "per_domain" in refusal.message


@pytest.mark.parametrize("master", [A, W])
def test_per_domain_a_link_in_each_is_enough(master: SaeId) -> None:
    domains = both(ruled(direct_only=True), ruled(direct_only=True), per_domain=True)
    keys = ask(domains, GetKey(master, B))
    assert isinstance(keys, Keys), keys
    assert isinstance(fetch(domains, B, master, keys), Keys)


def square(gives: dict[str, object], *, per_domain: bool, links: tuple[tuple[KmeId, KmeId], ...]) -> Domains:
    """alice reaches west over two nodes, which share no node; what she sends is relayed when it is asked for."""
    policy = Policy(PATIENT, rules=(Rule("a", "b", gives),))
    return Domains(
        {A: ALICE, M: MID, SaeId("m2"): MID2, W: WEST, E: EAST, B: BOB},
        Domain(
            (ALICE, MID, MID2, WEST),
            {WEST: {EAST: ("e", "b")}},
            links,
            policy,
            FeederOptions("on-demand"),
            64,
            per_domain,
        ),
        Domain((BOB, EAST), {EAST: {WEST: ("a", "m*", "w")}}),
    )


TWO_WAYS = ((ALICE, MID), (ALICE, MID2), (MID, WEST), (MID2, WEST))
SHARED = {"relay": "secret-shared", "min_disjoint_paths": 2}


def test_per_domain_shares_go_over_disjoint_paths_to_the_gateway() -> None:
    domains = square(SHARED, per_domain=True, links=TWO_WAYS)
    keys = ask(domains, GetKey(A, B, provenance=True), 3.0)
    assert isinstance(keys, Keys), keys
    assert keys.provenance is not None
    assert keys.provenance.paths == ((ALICE, MID, WEST), (ALICE, MID2, WEST))
    assert isinstance(fetch(domains, B, A, keys), Keys)


def test_per_domain_too_there_is_no_key_where_there_are_not_so_many_paths() -> None:
    domains = square(SHARED, per_domain=True, links=TWO_WAYS[:3])
    refusal = ask(domains, GetKey(A, B), 6.0)
    assert isinstance(refusal, Unavailable), refusal
    assert records(domains) == 0


def test_per_domain_a_relayed_key_is_no_key_of_a_link() -> None:
    domains = square({"direct_only": True}, per_domain=True, links=TWO_WAYS)
    refusal = ask(domains, GetKey(A, B), 6.0)
    assert isinstance(refusal, Unauthorised)
    assert refusal.message == "for SAE b only keys of a link may be used, and none leads to it"


def test_on_its_last_leg_a_key_travels_as_the_slaves_domain_wants_it() -> None:
    """Its pad may come only from sources that the pair may have; bob's domain has none of them."""
    domains = both(Policy(PATIENT), ruled(sources=frozenset({"bb84", "etsi020"})))
    refusal = ask(domains, GetKey(A, B), 6.0)
    assert isinstance(refusal, Unavailable)
    assert isinstance(ask(domains, GetKey(A, E)), Keys)
    domains.network(EAST).produce(8, source="bb84")
    domains.pass_time(1.0)
    assert isinstance(ask(both(Policy(PATIENT), ruled(sources=frozenset({"virtual", "etsi020"}))), GetKey(A, B)), Keys)


@pytest.mark.parametrize("wait_s", [3.0, 6.0])
def test_on_its_last_leg_a_key_waits_for_a_pad_as_long_as_the_slaves_domain_says(wait_s: float) -> None:
    """Else keys that their masters have given up would take the pads from those that they ask for next."""
    domains = Domains(
        {W: WEST, E: EAST, B: BOB},
        Domain((WEST,), {WEST: {EAST: ("e", "b")}}, policy=Policy(PairPolicy(abroad_wait_s=20.0))),
        Domain((BOB, EAST), {EAST: {WEST: ("w",)}}, policy=Policy(PairPolicy(wait_s=wait_s)), blocks=0),
    )
    answers = domains.get_key(GetKey(W, B))
    domains.pass_time(wait_s - 1.0)
    assert answers == []
    domains.pass_time(2.0)
    (refusal,) = answers
    assert isinstance(refusal, Unavailable)
    assert "no key material is left for its pad" in refusal.message


def test_the_other_domains_limits_hold_for_our_masters_too() -> None:
    domains = both(Policy(PATIENT))
    limits = (Limit(A, quota_bytes=Quota(64, 600)),)
    domains.network(EAST).kmes[EAST].kme.reconfigure(KmeOptions(Policy(), PairOptions(), limits))
    assert isinstance(ask(domains, GetKey(A, B, 2)), Keys)
    refusal = ask(domains, GetKey(A, B))
    assert isinstance(refusal, Unavailable)
    assert isinstance(ask(domains, GetKey(A2, B)), Keys)
    domains.network(BOB).dead.add(BOB)


def test_a_key_that_did_not_arrive_is_not_charged_there() -> None:
    domains = both(Policy(PATIENT))
    limits = (Limit(A, quota_bytes=Quota(64, 600)),)
    domains.network(EAST).kmes[EAST].kme.reconfigure(KmeOptions(Policy(), PairOptions(), limits))
    domains.network(BOB).dead.add(BOB)
    assert isinstance(ask(domains, GetKey(A, B, 2), 90.0), Unavailable)
    domains.network(BOB).dead.clear()
    domains.pass_time(10.0)
    assert isinstance(ask(domains, GetKey(A, B, 2), 4.0), Keys)


def test_a_key_may_be_voided_whatever_the_policy_says_meanwhile() -> None:
    two = TwoDomains("a", "w", "b", "e")
    assert isinstance(ask(two, GetKey(A, B)), Keys)
    east = two.east.kmes[EAST].kme
    east.reconfigure(KmeOptions(Policy(allow=(Allow("w", "*"),)), PairOptions()))
    west = two.west.kmes[WEST].kme.gateway[EAST]
    west.recalling.recall(tuple(west.sent._keys))
    two.pass_time(3.0)
    assert records(two) == 0


@pytest.mark.parametrize("hybrid", ["none", "kdf"])
def test_what_a_gateway_keeps_of_what_it_passes_on_came_from_the_masters_kme(hybrid: Hybrid) -> None:
    """It is no key of the gateway's own, which would need no ML-KEM."""
    two = TwoDomains("a", "w", "b")
    west = two.west.kmes[WEST]
    west.kme.policies.replace(Policy(PATIENT, rules=(Rule("a", "w", {"hybrid": hybrid}),)))
    keys = ask(two, GetKey(A, B, additional_slaves=(W,)))
    assert isinstance(keys, Keys), keys
    fetched = fetch(two, W, A, keys)
    if hybrid != "none":
        assert isinstance(fetched, Unauthorised)
        return
    assert isinstance(fetched, Keys)
    (told,) = [record for record in west.audit.records() if record.get("call") == "dec_keys"]
    assert told["paths"] == [[ALICE, WEST]]


def test_who_may_only_have_keys_of_a_link_shares_none_with_who_is_in_another_domain() -> None:
    domains = both(Policy(PATIENT, rules=(Rule("a", "a2", {"direct_only": True}),)))
    refusal = ask(domains, GetKey(A, B, additional_slaves=(A2,)))
    assert isinstance(refusal, Unauthorised)
    assert refusal.message == DIRECT.replace("SAE b", "SAE a2")
    assert records(domains) == 0


def test_a_gateway_takes_no_key_for_a_link_only_that_goes_on_to_where_none_leads() -> None:
    policies = Policies(Policy(rules=(Rule("a", "b", {"direct_only": True}),)))
    crossing = Crossing({A, M}.__contains__, {A}.__contains__)
    admitting = Admitting(policies, Limits((), VirtualClock()), crossing)
    assert set(admitting.check(Saes(A, (B, B2)))) == {B, B2}
    with pytest.raises(Problem, match="no link leads into another domain"):
        admitting.check(Saes(A, (B, M)))
