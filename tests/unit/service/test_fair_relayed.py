"""What is reserved for pairs of SAEs that ask for nothing leaves enough of a relayed stream for those who ask."""

from keyhop.core.ids import KmeId, SaeId
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.pair import PairOptions
from keyhop.service.requests import GetKey, GetStatus, Keys
from keyhop.testing.network import VirtualNetwork

A, B, C = KmeId("a"), KmeId("b"), KmeId("c")
MANY = 14
HOME = {SaeId(f"{kme}{number}"): kme for kme in (A, B, C) for number in range(MANY)}
MASTER, SLAVE, OTHER = SaeId("a0"), SaeId("c0"), SaeId("c1")
LEAST_BYTES = 8192


def line() -> VirtualNetwork:
    """196 pairs of SAEs at the ends, with a stock between them that is far below what is reserved for all."""
    network = VirtualNetwork(
        HOME,
        links=[(A, B), (B, C)],
        options=PairOptions(reserved_bytes_per_pair=4096),
        feeder=FeederOptions(least_bytes=LEAST_BYTES),
    )
    network.settle()
    for _ in range(20):
        network.produce(8)
        network.pass_time(1.0)
    return network


def test_one_pair_of_many_has_its_keys_from_stock() -> None:
    network = line()
    for _ in range(LEAST_BYTES // 2 // 32):
        answers = network.get_key(A, GetKey(MASTER, SLAVE))
        network.settle()
        assert isinstance(answers[0], Keys)
    assert network.kmes[A].kme.peers[C].relayed.owned.ledger.delivered == LEAST_BYTES // 2


def test_the_others_still_find_something() -> None:
    network = line()
    for _ in range(10_000):
        answers = network.get_key(A, GetKey(MASTER, SLAVE))
        network.settle()
        if not answers or not isinstance(answers[0], Keys):
            break
    assert network.kmes[A].delivery.get_status(GetStatus(MASTER, OTHER)).stored_key_count >= 1
