"""Keys that are relayed ahead over a KME leave something of its links for the SAEs there."""

from keyhop.core.ids import KmeId, SaeId
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.pair import PairOptions
from keyhop.service.requests import GetKey, Keys
from keyhop.testing.network import VirtualNetwork

A, B, C = KmeId("a"), KmeId("b"), KmeId("c")
HOME = {SaeId(kme): kme for kme in (A, B, C)}
IN_BETWEEN, AT_THE_END = SaeId("b"), SaeId("c")


def line() -> VirtualNetwork:
    """The ends want far more of each other than links bring, and nothing is reserved for those between."""
    network = VirtualNetwork(
        HOME,
        links=[(A, B), (B, C)],
        options=PairOptions(reserved_bytes_per_pair=0),
        feeder=FeederOptions(least_bytes=1 << 16),
    )
    network.settle()
    network.produce(16)
    leasing = network.kmes[B].peers[C].neighbour.leasing
    for _ in range(60):
        network.produce(1)
        network.pass_time(1.0)
        if leasing.waiting_units:
            return network
    raise AssertionError("nobody waits for pads")


def test_who_asks_for_a_key_of_a_link_finds_one_though_all_of_it_is_wanted_by_others() -> None:
    network = line()
    answers = network.get_key(B, GetKey(IN_BETWEEN, AT_THE_END, 16))
    network.settle()
    assert answers
    assert isinstance(answers[0], Keys)
