"""A small network of relays, and plans between its ends."""

from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.relay.messages import BlockPayload
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.testing.relays import VirtualRelays

A, B, C, D, E, F = (KmeId(name) for name in "ABCDEF")
LINKS = [("A", "B"), ("B", "D"), ("A", "C"), ("C", "D"), ("A", "E"), ("E", "F"), ("F", "D")]
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
TWO, THREE = PLANS["two hops"], PLANS["three hops"]
XOR, SOME = PLANS["xor over three hops"], PLANS["two of three shares"]


def block(target: KmeId = D, data: bytes = DATA) -> Parcel:
    return Parcel(target, BlockPayload(), KeyMaterial(data))


def network_of_relays() -> VirtualRelays:
    """Streams with something in them, of which enough is leased."""
    network = VirtualRelays(LINKS)
    network.lease_ahead()
    return network


def drain(network: VirtualRelays, owner: KmeId, follower: KmeId) -> None:
    """Nothing is left of a stream."""
    direct = network.nodes[owner].direct(follower)
    while direct.owned.stock_units:
        direct.leasing.wait(min(direct.owned.stock_units, 512) * 8, 1, "voided", 1e12, lambda taken: None)
        network.settle()
