"""Each strategy carries a parcel from one end to the other; what it costs is in the books of both ends of each hop."""

import pytest

from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.relay.messages import BlockPayload
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.testing.relays import VirtualRelays

A, B, C, D, E, F = (KmeId(name) for name in "ABCDEF")
LINKS = ("AB", "BD", "AC", "CD", "AE", "EF", "FD")
DATA = bytes(range(256)) * 8
PLANS = {
    "one hop": Plan("hop-by-hop", ((A, B),)),
    "two hops": Plan("hop-by-hop", ((A, B, D),)),
    "three hops": Plan("hop-by-hop", ((A, E, F, D),)),
    "xor over one hop": Plan("xor-at-destination", ((A, B),)),
    "xor over two hops": Plan("xor-at-destination", ((A, B, D),)),
    "xor over three hops": Plan("xor-at-destination", ((A, E, F, D),)),
    "two shares": Plan("secret-shared", ((A, B, D), (A, C, D)), 2),
    "three shares": Plan("secret-shared", ((A, B, D), (A, C, D), (A, E, F, D)), 3),
    "two of three shares": Plan("secret-shared", ((A, B, D), (A, C, D), (A, E, F, D)), 2),
}


def links() -> list[tuple[str, str]]:
    return [(link[0], link[1]) for link in LINKS]


@pytest.fixture
def network() -> VirtualRelays:
    return VirtualRelays(links())


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_block_arrives(network: VirtualRelays, plan: Plan) -> None:
    target = plan.paths[0][-1]
    outcome = network.send("A", Parcel(target, BlockPayload(), KeyMaterial(DATA)), plan)
    network.settle()
    assert outcome == [None]
    assert network.delivered.blocks == [(A, target, DATA)]
    assert network.delivered.own == [(A, target, DATA)]
    assert network.balanced()
    assert network.breaches == []
