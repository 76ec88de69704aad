"""Limits where requests are answered: who is charged what, and when it is given back."""

import pytest

from keyhop.core.errors import BadRequest, KeyhopError, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.pair import PairOptions
from keyhop.service.gauges import Quota, Rate
from keyhop.service.kme_options import KmeOptions
from keyhop.service.meters import Limit
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, A2, B, B2 = SaeId("a1"), SaeId("a2"), SaeId("b1"), SaeId("b2")
HOME = {A: ALICE, A2: ALICE, B: BOB, B2: BOB}


def limited(*limits: Limit, wait_s: float = 1.0) -> VirtualNetwork:
    network = VirtualNetwork(HOME, 1)
    for kme in network.kmes.values():
        kme.kme.reconfigure(KmeOptions(Policy(PairPolicy(wait_s=wait_s)), PairOptions(), limits))
    network.settle()
    network.produce(16)
    network.settle()
    return network


def get(
    network: VirtualNetwork, *more: SaeId, master: SaeId = A, slave: SaeId = B, number: int = 1
) -> Keys | KeyhopError:
    answers = network.get_key(ALICE, GetKey(master, slave, number=number, additional_slaves=more))
    network.settle()
    (answer,) = answers
    return answer


def test_enc_keys_charges_the_master_and_each_pair() -> None:
    network = limited(Limit("*", bytes=Rate(1.0, 96)), Limit(("*", "b2"), bytes=Rate(1.0, 32)))
    assert isinstance(get(network, B2), Keys)
    assert isinstance(get(network, master=A2), Keys)
    answer = get(network, slave=B2)
    assert isinstance(answer, Unavailable)
    assert answer.message == "the limit of SAEs a1 and b2 is reached: 1 bytes of key per second, 32 at once"
    assert answer.retry_after_s == 32
    assert isinstance(get(network), Keys)
    assert isinstance(get(network), Unavailable)


def test_dec_keys_charges_the_slave_a_request_and_no_bytes() -> None:
    network = limited(Limit(B, requests=Rate(1.0, 1), bytes=Rate(1.0, 1)))
    keys = get(network)
    assert isinstance(keys, Keys)
    ask = GetKeyWithIds(B, A, keys.runs[0].ids)
    network.get_key_with_ids(BOB, GetKeyWithIds(B, A, bytes(16)))
    (over,) = network.get_key_with_ids(BOB, ask)
    assert isinstance(over, Unavailable)
    network.clock.advance(1.0)
    answers = network.get_key_with_ids(BOB, ask)
    network.settle()
    assert isinstance(answers[0], Keys)


@pytest.mark.parametrize("more", [(), (B2,)], ids=["stream", "multicast"])
@pytest.mark.parametrize("wait_s", [0.0, 1.0])
def test_a_request_that_the_stream_could_not_serve_costs_no_bytes(more: tuple[SaeId, ...], wait_s: float) -> None:
    stock_bytes = 128 << 10
    network = limited(Limit(A, requests=Rate(0.01, 2), quota_bytes=Quota(stock_bytes, 60)), wait_s=wait_s)
    number = stock_bytes // 1024 // (1 + len(more))
    answers = network.get_key(ALICE, GetKey(A, B, number=number, size_bits=8192, additional_slaves=more))
    network.pass_time(2.0)
    (answer,) = answers
    assert isinstance(answer, Unavailable)
    assert "no key material is left" in answer.message
    assert isinstance(get(network, *more, number=1), Keys)
    answer = get(network)
    assert isinstance(answer, Unavailable)
    assert "requests per second" in answer.message


def test_what_no_waiting_would_help_is_a_bad_request() -> None:
    network = limited(Limit(A, bytes=Rate(32.0, 64)))
    answer = get(network, number=3)
    assert isinstance(answer, BadRequest)
    assert answer.message == ("this is more than SAE a1 may ever have at once: 32 bytes of key per second, 64 at once")


@pytest.mark.parametrize("more", [(), (B2,)], ids=["stream", "multicast"])
def test_a_request_that_is_refused_at_once_costs_no_bytes(more: tuple[SaeId, ...]) -> None:
    network = limited(Limit(A, quota_bytes=Quota(64 * (1 + len(more)), 60)))
    young = GetKey(A, B, None, 512, more, "direct", True, 0.0, True)
    if more:
        network.kmes[ALICE].peers[BOB].disconnect()
    network.clock.advance(1.0)
    network.settle()
    (answer,) = network.get_key(ALICE, young)
    assert isinstance(answer, KeyhopError)
    network.kmes[ALICE].connect(BOB)
    network.pass_time(2.0)
    answer = get(network, *more, number=1)
    assert isinstance(answer, Keys), answer
