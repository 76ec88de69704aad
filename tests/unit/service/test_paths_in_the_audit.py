"""The audit logs of both ends name the KMEs that the bytes of each key crossed."""

from typing import Any

import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import label
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.pair import PairOptions
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

A, B, C, D = (KmeId(name) for name in "ABCD")
SAE_A, SAE_D, OTHER_D = SaeId("a"), SaeId("d"), SaeId("d2")
HOME = {SAE_A: A, SaeId("b"): B, SaeId("c"): C, SAE_D: D, OTHER_D: D}
SQUARE = [(A, B), (B, D), (A, C), (C, D)]
BOTH = [["A", "B", "D"], ["A", "C", "D"]]


def network(terms: Terms, feeder: FeederOptions | None = None) -> VirtualNetwork:
    net = VirtualNetwork(HOME, policy=Policy(PairPolicy(wait_s=5.0)), links=SQUARE, terms=terms, feeder=feeder)
    net.settle()
    net.pass_time(2.0)
    net.produce(8)
    net.pass_time(5.0)
    return net


def handed(net: VirtualNetwork, kme: KmeId) -> list[dict[str, Any]]:
    return [record for record in net.kmes[kme].audit.records() if "call" in record]


def share_a_key(net: VirtualNetwork, number: int = 1, *others: SaeId) -> Keys:
    answers = net.get_key(A, GetKey(SAE_A, SAE_D, number, additional_slaves=others, provenance=True))
    net.pass_time(5.0)
    (keys,) = answers
    assert isinstance(keys, Keys)
    ids = b"".join(run.ids for run in keys.runs)
    answers = net.get_key_with_ids(D, GetKeyWithIds(SAE_D, SAE_A, ids))
    net.pass_time(1.0)
    (fetched,) = answers
    assert isinstance(fetched, Keys)
    return keys


def told(net: VirtualNetwork) -> list[tuple[str, list[list[str]]]]:
    """By the master's KME, then by the slave's."""
    return [(record["source"], record["paths"]) for kme in (A, D) for record in handed(net, kme)]


@pytest.mark.parametrize("buffering", ["prefetch", "on-demand"])
def test_a_key_in_shares_came_over_several_paths(buffering: Any) -> None:
    net = network(Terms("secret-shared", 2, 2), FeederOptions(buffering))
    keys = share_a_key(net)
    source = "relay, secret-shared" if buffering == "prefetch" else "kme"
    assert told(net) == [(source, BOTH)] * 2
    assert keys.provenance is not None
    assert (keys.provenance.source, [list(path) for path in keys.provenance.paths]) == (source, BOTH)


@pytest.mark.parametrize("buffering", ["prefetch", "on-demand"])
def test_another_path_after_the_first_one_was_cut(buffering: Any) -> None:
    net = network(Terms(), FeederOptions(buffering))
    share_a_key(net)
    ((_, (first,)), (_, (same,))) = told(net)
    assert first == same
    assert first in BOTH
    cut = KmeId(first[1])
    net.dead.add(cut)
    for other in (A, D):
        net.kmes[other].peers[cut].disconnect()
    net.pass_time(2.0)
    second = next(path for path in BOTH if path != first)
    for _ in range(10):  # until nothing is left of what came over the first path
        share_a_key(net, 64)
        net.produce(2)
        last = [handed(net, kme)[-1]["paths"] for kme in (A, D)]
        if last == [[second]] * 2:
            return
    raise AssertionError(last)


def test_the_pad_of_a_record_says_what_the_record_crossed() -> None:
    net = network(Terms())
    share_a_key(net, 1, OTHER_D)
    ((_, at_master), (_, at_slave)) = told(net)
    assert at_master == at_slave
    assert len(at_master) == 1
    assert at_master[0] in BOTH


def relayed(net: VirtualNetwork, number: int, paths: list[tuple[KmeId, ...]], size: int) -> None:
    data, now = KeyMaterial(net.random.randbytes(size)), net.clock.wall()
    source = label("relay, hop-by-hop", paths)
    assert net.kmes[D].peers[A].relayed.filling.their_block(number, data, now, source)
    net.kmes[A].peers[D].relayed.filling.own_block(number, data, now, source)
    net.settle()


def test_each_key_of_a_request_has_its_own_paths_and_one_of_two_blocks_has_both() -> None:
    net = VirtualNetwork(
        HOME,
        policy=Policy(PairPolicy(wait_s=5.0)),
        links=SQUARE,
        options=PairOptions(reserved_bytes_per_pair=0),
        feeder=FeederOptions("on-demand"),
    )
    net.settle()
    relayed(net, 1, [(A, B, D)], 32 + 64 + 2 * 32 + 16)
    relayed(net, 2, [(A, C, D)], 32 + 16 + 3 * 32)
    answers = net.get_key(A, GetKey(SAE_A, SAE_D, 6, 256))
    net.pass_time(1.0)
    (keys,) = answers
    assert isinstance(keys, Keys)
    ids = keys.runs[0].ids
    net.get_key_with_ids(D, GetKeyWithIds(SAE_D, SAE_A, ids))
    net.pass_time(1.0)
    over_b, over_c = BOTH
    for kme in (A, D):
        shown = [(record["paths"], record["keys"][0]["ids"]) for record in handed(net, kme)]
        assert shown == [
            ([over_b], ids[:32].hex()),
            ([over_b, over_c], ids[32:48].hex()),
            ([over_c], ids[48:].hex()),
        ]
