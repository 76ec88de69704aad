"""Keys that go through a domain into a third one, and that never go in circles."""

import pytest

from keyhop.core.errors import KeyhopError, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.etsi020.transfer import Saes, Transfer
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertKeys, Keys, VoidedKeys, VoidKeys
from keyhop.testing.domains import Domain, Domains

A, F, M, N, G, C, NOBODY = map(SaeId, ("a", "f", "m", "n", "g", "c", "nobody"))
ALICE, FIRST, NEAR, FAR, LAST, CAROL = map(KmeId, ("alice", "first", "near", "far", "last", "carol"))
OWN_ID = bytes.fromhex("0190d3c8f1a27abc9def0123456789ab")


def chain() -> Domains:
    """alice ── first ══ near ── far ══ last ── carol: three domains, of which the middle one has two gateway nodes."""
    return Domains(
        {A: ALICE, F: FIRST, M: NEAR, N: FAR, G: LAST, C: CAROL},
        Domain((ALICE, FIRST), {FIRST: {NEAR: ("m", "n", "g", "c")}}),
        Domain((FAR, NEAR), {NEAR: {FIRST: ("a", "f")}, FAR: {LAST: ("g", "c")}}),
        Domain((CAROL, LAST), {LAST: {FAR: ("a", "f", "m", "n")}}),
    )


def ring(behind_near: tuple[str, ...]) -> Domains:
    """Three domains of one KME each, in a ring: whom one does not know is sent on to the next one, round and round.

    `behind_near` are those whom carol takes keys of from near.
    """
    return Domains(
        {A: ALICE, M: NEAR, C: CAROL, NOBODY: KmeId("nowhere")},
        Domain((ALICE,), {ALICE: {CAROL: ("c",), NEAR: ("*",)}}),
        Domain((NEAR,), {NEAR: {ALICE: ("a",), CAROL: ("*",)}}),
        Domain((CAROL,), {CAROL: {NEAR: behind_near, ALICE: ("*",)}}),
    )


def got(answers: list[Keys | KeyhopError]) -> Keys:
    (answer,) = answers
    assert isinstance(answer, Keys), answer
    return answer


def secret(keys: Keys) -> bytes:
    return b"".join(run.material.reveal() for run in keys.runs)


def ask(domains: Domains, request: GetKey, seconds: float = 1.0) -> list[Keys | KeyhopError]:
    answers = domains.get_key(request)
    domains.pass_time(seconds)
    return answers


def records(domains: Domains) -> int:
    return sum(len(kme.records) for network in domains.networks for kme in network.kmes.values())


@pytest.mark.parametrize("master", [A, F, M, C])
@pytest.mark.parametrize("slave", [A, F, N, G, C])
def test_saes_of_all_three_domains_share_keys(master: SaeId, slave: SaeId) -> None:
    if master == slave:
        return
    domains = chain()
    keys = got(ask(domains, GetKey(master, slave, 2)))
    fetched = got(domains.get_key_with_ids(GetKeyWithIds(slave, master, keys.runs[0].ids)))
    assert secret(fetched) == secret(keys)
    assert records(domains) == 0


def test_slaves_in_all_three_domains_share_one_key() -> None:
    domains = chain()
    slaves = (F, M, N, G, C)
    keys = got(ask(domains, GetKey(A, slaves[0], additional_slaves=slaves[1:])))
    for slave in slaves:
        fetched = got(domains.get_key_with_ids(GetKeyWithIds(slave, A, keys.runs[0].ids)))
        assert secret(fetched) == secret(keys)
    assert records(domains) == 0


def test_a_masters_own_key_goes_all_the_way_and_is_voided_there() -> None:
    domains = chain()
    inserted = domains.insert_keys(InsertKeys(A, C, KeyMaterial(bytes(32)), 32, OWN_ID, (N,)))
    domains.pass_time(1.0)
    assert len(inserted) == 1
    assert not isinstance(inserted[0], KeyhopError), inserted
    assert records(domains) == 2
    voided = domains.void_keys(VoidKeys(A, C, OWN_ID, (N,)))
    domains.pass_time(5.0)
    (answer,) = voided
    assert isinstance(answer, VoidedKeys)
    assert answer.voided == (True,)
    assert records(domains) == 0


def test_what_was_fetched_in_the_third_domain_is_not_void() -> None:
    domains = chain()
    ids = got(ask(domains, GetKey(A, C, 2))).runs[0].ids
    got(domains.get_key_with_ids(GetKeyWithIds(C, A, ids[:16])))
    voided = domains.void_keys(VoidKeys(A, C, ids))
    domains.pass_time(5.0)
    (answer,) = voided
    assert isinstance(answer, VoidedKeys)
    assert answer.voided == (False, True)


def test_if_the_last_domain_is_cut_off_nobody_keeps_the_key() -> None:
    domains = chain()
    domains.network(CAROL).dead.add(CAROL)
    answers = ask(domains, GetKey(A, C, additional_slaves=(F, N)), 12.0)
    (refusal,) = answers
    assert isinstance(refusal, Unavailable)
    domains.network(CAROL).dead.clear()
    domains.pass_time(90.0)
    assert records(domains) == 0


def test_optional_extensions_do_not_get_lost_on_the_way() -> None:
    """From one gateway node of a domain to another one they are not carried: then the key is not either."""
    domains = chain()
    first = domains.network(FIRST).kmes[FIRST].kme.gateway[NEAR]
    outcomes: list[str | None] = []
    transfer = Transfer(Saes(A, (C,)), (bytes(16),), (KeyMaterial(bytes(32)),), {"theirs": 1})
    first.sending.send(transfer, domains.clock.monotonic() + 5.0, outcomes.append)
    domains.pass_time(1.0)
    (outcome,) = outcomes
    assert "optional extensions are not passed on" in str(outcome)
    assert records(domains) == 0


@pytest.mark.parametrize("behind_near", [("m",), ("m", "a")], ids=str)
def test_a_key_for_nobody_goes_in_no_circle(behind_near: tuple[str, ...]) -> None:
    """Each domain believes that the next one knows the slave. One sees that it does not come from its master's."""
    domains = ring(behind_near)
    answers = ask(domains, GetKey(A, NOBODY), 3.0)
    (refusal,) = answers
    assert isinstance(refusal, Unavailable)
    assert "the initiator is not an SAE of yours" in refusal.message
    sent = {
        name: number
        for network in domains.networks
        for name, kme in network.kmes.items()
        for interchange in kme.kme.gateway
        for way, outcome, number in interchange.accounts
        if (way, outcome) == ("sent", "handed over")
    }
    assert sent == dict.fromkeys((ALICE, NEAR, CAROL)[: 1 + len(behind_near)], 1)


def test_one_kme_joins_three_domains() -> None:
    domains = Domains(
        {A: ALICE, M: NEAR, C: CAROL},
        Domain((ALICE,), {ALICE: {NEAR: ("m", "c")}}),
        Domain((NEAR,), {NEAR: {ALICE: ("a",), CAROL: ("c",)}}),
        Domain((CAROL,), {CAROL: {NEAR: ("a", "m")}}),
    )
    slaves = (M, C)
    keys = got(ask(domains, GetKey(A, M, additional_slaves=(C,))))
    for slave in slaves:
        assert secret(got(domains.get_key_with_ids(GetKeyWithIds(slave, A, keys.runs[0].ids)))) == secret(keys)
