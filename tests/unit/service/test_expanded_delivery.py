"""What SAEs get while a stream is dry, when their policy lets pads be expanded."""

import pytest

from keyhop.core.errors import KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.pair import PairOptions
from keyhop.network.wire import Carry, decode, encode
from keyhop.service.etsi014.encode import encode_keys
from keyhop.service.kme_options import KmeOptions
from keyhop.service.policy import PairPolicy, Policy, Rule
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, A2, B = SaeId("a"), SaeId("a2"), SaeId("b")
HOME = {A: ALICE, A2: ALICE, B: BOB}
OPTIONS = PairOptions(reserved_bytes_per_pair=0, expand=True)
MARK = b'"key_extension":{"keyhop_expanded":true}'


def policy(*, more: dict[str, object] | None = None) -> Policy:
    return Policy(PairPolicy(wait_s=0.5), rules=(Rule("a", "*", {"when_dry": "expand"} | (more or {})),))


def network(rules: Policy | None = None) -> VirtualNetwork:
    net = VirtualNetwork(HOME, 1, policy=rules or policy(), options=OPTIONS)
    net.settle()
    return net


def wet(net: VirtualNetwork) -> None:
    net.produce(16)
    net.pass_time(3.0)


def dry_out(net: VirtualNetwork) -> None:
    while isinstance(ask(net, GetKey(A2, B, size_bits=64)), Keys):
        pass


def ask(net: VirtualNetwork, request: GetKey) -> Keys | KeyhopError:
    answers = net.get_key(ALICE, request)
    net.settle()
    if not answers:
        net.pass_time(4.0)
    (answer,) = answers
    return answer


def fetch(net: VirtualNetwork, ids: bytes) -> Keys | KeyhopError:
    answers = net.get_key_with_ids(BOB, GetKeyWithIds(B, A, ids))
    net.settle()
    (answer,) = answers
    return answer


def got(answer: Keys | KeyhopError) -> Keys:
    assert isinstance(answer, Keys), answer
    return answer


def test_while_there_is_key_nothing_is_expanded() -> None:
    net = network()
    wet(net)
    keys = got(ask(net, GetKey(A, B)))
    assert (keys.runs[0].mark, MARK in encode_keys(keys)) == (None, False)


def test_a_dry_stream_gives_marked_keys_and_the_same_at_both_ends() -> None:
    net = network()
    wet(net)
    dry_out(net)
    for number in (1, 30):
        keys = got(ask(net, GetKey(A, B, number=number, provenance=True)))
        theirs = got(fetch(net, keys.runs[0].ids))
        assert b"".join(run.material.reveal() for run in theirs.runs) == keys.runs[0].material.reveal()
        assert [encode_keys(each).count(MARK) for each in (keys, theirs)] == [number, number]
    for kme in net.kmes.values():
        assert [r["source"] for r in kme.audit.records() if r.get("source") == "kme, expanded"] == ["kme, expanded"] * 2
        peer = next(iter(kme.peers.values())).neighbour
        for stream in (peer.owned, peer.followed):
            assert stream.ledger.balances(stream.available_bytes)


def test_a_pair_without_that_policy_gets_none_and_nobody_without_a_seed() -> None:
    net = network()
    assert isinstance(ask(net, GetKey(A, B)), Unavailable)
    wet(net)
    dry_out(net)
    assert isinstance(ask(net, GetKey(A2, B)), Unavailable)
    got(ask(net, GetKey(A, B)))
    net.kmes[ALICE].crash()
    net.pass_time(2.0)
    assert isinstance(ask(net, GetKey(A, B)), Unavailable)


def test_the_seed_has_to_be_of_a_source_that_the_pair_may_have_and_kme_has_to_be_one() -> None:
    for sources, comes in (({"bb84", "kme"}, False), ({"virtual", "kme"}, True), ({"virtual"}, False)):
        net = network(policy(more={"sources": frozenset(sources)}))
        wet(net)
        dry_out(net)
        assert type(ask(net, GetKey(A, B))) is (Keys if comes else Unavailable)


def test_a_slaves_kme_that_does_not_allow_it_gives_none_out() -> None:
    net = network()
    wet(net)
    dry_out(net)
    keys = got(ask(net, GetKey(A, B)))
    net.kmes[BOB].kme.reconfigure(KmeOptions(Policy(), OPTIONS))
    refusal = fetch(net, keys.runs[0].ids)
    assert isinstance(refusal, Unauthorised)
    assert refusal.message == "these SAEs may not share expanded keys"
    net.kmes[BOB].kme.reconfigure(KmeOptions(policy(), OPTIONS))
    got(fetch(net, keys.runs[0].ids))


@pytest.mark.parametrize("what", ["repeated", "altered", "renumbered"])
def test_a_message_that_is_not_the_next_one_of_its_owner_is_refused(what: str) -> None:
    net = network()
    wet(net)
    dry_out(net)
    net.get_key(ALICE, GetKey(A, B))
    net.flush()
    (sent,) = [sent for sent in net._on_the_way if isinstance(decode(sent[2]).body, Carry)]
    envelope = decode(sent[2])
    carry = envelope.body
    assert isinstance(carry, Carry)
    bob = net.kmes[BOB]
    if what == "repeated":
        net.settle()
        count = len(bob.records)
        assert got(fetch(net, carry.ids))
        bob.received(ALICE, sent[2])
        net.settle()
        assert (count, len(bob.records)) == (1, 0)
        return
    net._on_the_way.remove(sent)
    number = carry.number + (what == "renumbered")
    other = carry.sealed if what == "renumbered" else bytes([carry.sealed[0] ^ 1]) + carry.sealed[1:]
    forged = Carry(carry.batch, "kme", carry.epoch, carry.pad, A, (B,), carry.ids, other, carry.tag, number)
    bob.received(ALICE, encode(type(envelope)(envelope.route, envelope.sender, envelope.receiver, forged)))
    net.flush()
    assert len(bob.records) == 0
    bob.received(ALICE, sent[2])
    net.flush()
    assert len(bob.records) == 1


def test_a_restored_follower_keeps_no_seed_of_which_it_has_forgotten_what_it_used() -> None:
    net = network()
    wet(net)
    bob = net.kmes[BOB]
    assert any(slot.kind == "seed" for slot in bob.store.values)
    copy = dict(bob.store.values)
    got(fetch(net, got(ask(net, GetKey(A, B))).runs[0].ids))
    net.pass_time(2.0)
    bob.start(copy)
    net.settle()
    assert [r["reason"] for r in bob.audit.records() if "stream" in r] == ["follower forgot"]
    assert not any(slot.kind == "seed" for slot in bob.store.values)
