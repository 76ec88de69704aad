"""Keys that are combined with ML-KEM, from one SAE to the other."""

import pytest

from keyhop.core.errors import BadRequest, KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.hybrid import agreeing, kept
from keyhop.network.hybrid.messages import HybridStored
from keyhop.network.pair import PairOptions
from keyhop.network.wire import decode
from keyhop.service.etsi014.encode import encode_keys
from keyhop.service.kme_options import KmeOptions
from keyhop.service.policy import Hybrid, PairPolicy, Policy, Rule
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys, VoidedKeys, VoidKeys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, A2, B, B2 = SaeId("a"), SaeId("a2"), SaeId("b"), SaeId("b2")
HOME = {A: ALICE, A2: ALICE, B: BOB, B2: BOB}
OPTIONS = PairOptions(reserved_bytes_per_pair=0, hybrid=True)


def policy(hybrid: Hybrid, redelivery_s: float = 0.0) -> Policy:
    rules = (Rule("a", "*", {"hybrid": hybrid}),)
    return Policy(PairPolicy(wait_s=0.5), redelivery_s=redelivery_s, rules=rules)


def network(hybrid: Hybrid = "kdf", redelivery_s: float = 0.0) -> VirtualNetwork:
    net = VirtualNetwork(HOME, 1, policy=policy(hybrid, redelivery_s), options=OPTIONS)
    net.settle()
    net.produce(16)
    net.pass_time(2.0)
    return net


def ask(net: VirtualNetwork, request: GetKey) -> Keys | KeyhopError:
    answers = net.get_key(ALICE, request)
    net.settle()
    if not answers:
        net.pass_time(1.0)
    (answer,) = answers
    return answer


def fetch(net: VirtualNetwork, ids: bytes, master: SaeId = A) -> Keys | KeyhopError:
    answers = net.get_key_with_ids(BOB, GetKeyWithIds(B, master, ids))
    net.settle()
    (answer,) = answers
    return answer


def got(answer: Keys | KeyhopError) -> Keys:
    assert isinstance(answer, Keys), answer
    return answer


def material(keys: Keys) -> bytes:
    return b"".join(run.material.reveal() for run in keys.runs)


@pytest.mark.parametrize(("hybrid", "name"), [("xor", "mlkem768-xor-v1"), ("kdf", "mlkem768-kdf-v1")])
@pytest.mark.parametrize("number", [1, 7])
def test_both_ends_get_the_same_key_and_are_told_how_it_was_made(hybrid: Hybrid, name: str, number: int) -> None:
    net = network(hybrid)
    stream = net.kmes[BOB].peers[ALICE].neighbour.followed
    keys = got(ask(net, GetKey(A, B, number=number, size_bits=264)))
    raw = b"".join(bytes(chunk.data) for shelf in stream._holdings._shelves.values() for chunk in shelf)
    assert material(keys)[:33] not in raw
    theirs = got(fetch(net, keys.runs[0].ids))
    assert material(theirs) == material(keys)
    for end in (keys, theirs):
        assert {run.mark for run in end.runs} == {name}
        assert encode_keys(end).count(b'"key_extension":{"keyhop_combiner":"%b"}' % name.encode()) == number
    for kme in net.kmes.values():
        assert [record["source"] for record in kme.audit.records() if "keys" in record] == [f"virtual, {name}"]


def test_keys_of_others_are_as_they_were() -> None:
    net = network()
    keys = got(ask(net, GetKey(A2, B)))
    assert keys.runs[0].mark is None
    assert b"key_extension" not in encode_keys(keys)
    assert material(got(fetch(net, keys.runs[0].ids, A2))) == material(keys)


@pytest.mark.parametrize("theirs", ["none", "xor"])
def test_a_slaves_kme_with_another_policy_gives_out_no_key_rather_than_another(theirs: Hybrid) -> None:
    net = network("kdf")
    keys = got(ask(net, GetKey(A, B)))
    net.kmes[BOB].kme.reconfigure(KmeOptions(policy(theirs), OPTIONS))
    assert isinstance(fetch(net, keys.runs[0].ids), Unauthorised)
    net.kmes[BOB].kme.reconfigure(KmeOptions(policy("kdf"), OPTIONS))
    assert material(got(fetch(net, keys.runs[0].ids))) == material(keys)


def test_a_key_can_be_fetched_after_both_ends_have_started_anew() -> None:
    net = network()
    keys = got(ask(net, GetKey(A, B)))
    net.kmes[BOB].crash()
    net.pass_time(2.0)
    net.kmes[ALICE].crash()
    net.pass_time(2.0)
    other = got(ask(net, GetKey(A, B)))
    assert len(net.kmes[BOB].peers[ALICE].neighbour.hybrid.kept) == 2
    for each in (other, keys):
        assert material(got(fetch(net, each.runs[0].ids))) == material(each)


def is_agreed(sent: tuple[KmeId, KmeId, bytes]) -> bool:
    _, target, data = sent
    envelope = decode(data)
    return (target, envelope.route) == (ALICE, "direct") and isinstance(envelope.body, HybridStored)


def test_a_secret_is_used_only_once_its_follower_has_it_for_good() -> None:
    net = VirtualNetwork(HOME, 1, policy=policy("kdf"), options=OPTIONS)
    while not any(map(is_agreed, net._on_the_way)):
        assert net.step()
    net.produce(16)
    answer = net.get_key(ALICE, GetKey(A, B))
    assert [type(each) for each in answer] == [Unavailable]
    assert "no ML-KEM secret is agreed on with KME bob yet" in str(answer[0])
    net.pass_time(2.0)
    got(ask(net, GetKey(A, B)))


def test_secrets_are_renewed_and_those_of_fetched_keys_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreeing, "RENEW_S", 10.0)
    monkeypatch.setattr(kept, "SETTLED_S", 1.0)
    net = network()
    agreed = net.kmes[ALICE].peers[BOB].neighbour.hybrid
    first, keys = agreed.secret, got(ask(net, GetKey(A, B)))
    net.pass_time(12.0)
    assert agreed.secret is not None
    assert agreed.secret is not first
    holds = net.kmes[BOB].peers[ALICE].neighbour.hybrid.kept
    assert material(got(fetch(net, keys.runs[0].ids))) == material(keys)
    for _ in range(40):
        net.pass_time(3.0)
        while isinstance(each := ask(net, GetKey(A2, B, number=64)), Keys):
            got(fetch(net, each.runs[0].ids, A2))
        net.produce(8)
        net.pass_time(3.0)
    assert len(holds) <= 3
    keys = got(ask(net, GetKey(A, B)))
    assert material(got(fetch(net, keys.runs[0].ids))) == material(keys)


def test_over_a_bad_network_keys_are_the_same_at_both_ends_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreeing, "RENEW_S", 3.0)
    net = network("xor")
    net.loss, net.repeat, net.reorder = 0.2, 0.2, True
    same = 0
    for turn in range(60):
        answers = net.get_key(ALICE, GetKey(A, B))
        net.pass_time(1.0)
        if turn % 20 == 10:
            net.kmes[ALICE if turn % 40 == 10 else BOB].crash()
        if turn % 4 == 0:
            net.produce(2)
        for keys in (each for each in answers if isinstance(each, Keys)):
            fetched = net.get_key_with_ids(BOB, GetKeyWithIds(B, A, keys.runs[0].ids))
            net.pass_time(1.0)
            theirs = [each for each in fetched if isinstance(each, Keys)]
            same += len(theirs)
            assert all(material(each) == material(keys) for each in theirs)
    assert same > 10


def test_a_key_that_is_sent_again_is_told_how_it_was_made() -> None:
    net = network("xor", redelivery_s=5.0)
    keys = got(ask(net, GetKey(A, B)))
    for _ in range(2):
        again = got(fetch(net, keys.runs[0].ids))
        assert (again.runs[0].mark, material(again)) == ("mlkem768-xor-v1", material(keys))


def test_nothing_is_agreed_on_where_no_rule_wants_it() -> None:
    net = VirtualNetwork(HOME, 1, policy=Policy(PairPolicy(wait_s=0.5)))
    net.settle()
    net.produce(16)
    net.pass_time(3.0)
    for me, peer in ((ALICE, BOB), (BOB, ALICE)):
        hybrid = net.kmes[me].peers[peer].neighbour.hybrid
        assert (hybrid.secret, len(hybrid.kept)) == (None, 0)


@pytest.mark.parametrize("combiner", ["xor", "kdf"])
def test_they_are_voided_like_others_whatever_the_policy_is_by_then(combiner: Hybrid) -> None:
    net = network(combiner)
    ids = got(ask(net, GetKey(A, B, 2))).runs[0].ids
    for kme in net.kmes.values():
        kme.kme.policies.replace(policy("none"))
    answers = net.void_keys(ALICE, VoidKeys(A, B, ids[:16]))
    net.settle()
    net.pass_time(1.0)
    (answer,) = answers
    assert answer == VoidedKeys(ids[:16], (True,))
    for kme in net.kmes.values():
        kme.kme.policies.replace(policy(combiner))
    assert isinstance(fetch(net, ids[:16]), BadRequest)
    got(fetch(net, ids[16:]))
