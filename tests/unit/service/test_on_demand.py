"""Keys that are relayed one by one while their stream is being filled: as many as links can spare, and no more."""

from keyhop.core.errors import Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

A, B, C = KmeId("A"), KmeId("B"), KmeId("C")
HOME = {SaeId(name.lower()): KmeId(name) for name in "ABC"}
SAE_A, SAE_B, SAE_C = HOME


def line(blocks: int, wait_s: float = 2.0) -> VirtualNetwork:
    """A and C with B between them; so many blocks have come over each link, and the stream has what it is to have."""
    policy = PairPolicy(wait_s=wait_s, max_keys_per_request=1 << 14)
    network = VirtualNetwork(HOME, links=((A, B), (B, C)), policy=Policy(policy))
    network.settle()
    for _ in range(20):
        network.produce(blocks // 20)
        network.pass_time(1.0)
    return network


def run_dry(network: VirtualNetwork) -> None:
    """The stream from A to C is used up, and what is on its way into it does not come, because B is down."""
    stream = network.kmes[A].peers[C].relayed.owned
    assert stream.stock_units, "it was kept filled"
    answers = network.get_key(A, GetKey(SAE_A, SAE_C, stream.stock_units // 4))
    network.settle()
    assert isinstance(answers[0], Keys)
    network.dead.add(B)
    network.kmes[A].tick()
    network.settle()
    assert network.kmes[A].kme.feeder.is_feeding(C)


def is_on_demand(network: VirtualNetwork, units: int = 4) -> bool:
    routes, policy = network.kmes[A].delivery.routes, network.kmes[A].kme.policies.pair(SAE_A, SAE_C)
    return routes.are_relayed_on_demand(network.kmes[A].peers[C].pairs, (SAE_A, SAE_C), policy, units)


def test_as_many_are_under_way_as_links_can_spare_a_part_of() -> None:
    network = line(blocks=200)
    run_dry(network)
    spare = network.kmes[A].kme.view.spare_bytes((A, B, C))
    at_a_time = spare // 16 // 32
    assert at_a_time > 10
    answers = [network.get_key(A, GetKey(SAE_A, SAE_C)) for _ in range(at_a_time)]
    assert not is_on_demand(network)
    network.dead.clear()
    network.pass_time(3.0)
    assert all(isinstance(answer[0], Keys) for answer in answers)
    assert network.kmes[A].delivery.routes.on_demand._under_way[C] == 0


def test_where_links_have_nothing_to_spare_blocks_are_waited_for() -> None:
    network = line(blocks=20)
    while network.kmes[A].kme.view.spare_bytes((A, B, C)) >= 16 * 32:
        answers = network.get_key(A, GetKey(SAE_A, SAE_B, 10))
        network.pass_time(1.0)
        assert isinstance(answers[0], Keys)
    run_dry(network)
    assert not is_on_demand(network)
    pair, on_demand = network.kmes[A].peers[C].relayed, network.kmes[A].delivery.routes.on_demand
    assert not on_demand.has_room(pair, None, 32, kept=False)
    assert on_demand.has_room(pair, None, 32, kept=True), "the stream has bytes, which are reserved for others"


def test_into_a_stream_that_has_had_nothing_yet_one_small_request_comes_in_any_case() -> None:
    network = VirtualNetwork(HOME, links=((A, B), (B, C)))
    network.settle()
    network.produce(2, 400)
    network.pass_time(2.0)
    assert not network.kmes[A].peers[C].relayed.owned.stock_units, "no link has enough for a block"
    assert network.kmes[A].kme.feeder.is_feeding(C)
    assert is_on_demand(network, units=64)
    assert not is_on_demand(network, units=512 // 8 + 1)
    network.get_key(A, GetKey(SAE_A, SAE_C, 16))
    assert not is_on_demand(network, units=64)


def test_who_is_failed_by_the_relay_gets_what_comes_into_the_stream() -> None:
    network = line(blocks=200, wait_s=20.0)
    run_dry(network)
    answers = network.get_key(A, GetKey(SAE_A, SAE_C))
    network.settle()
    for _ in range(6):  # the node between is down until every path has been tried
        network.clock.advance(0.5)
        network.kmes[A].tick()
        network.settle()
    assert not answers
    network.dead.clear()
    for _ in range(12):
        network.produce(4)
        network.pass_time(1.0)
    (keys,) = answers
    assert isinstance(keys, Keys)
    fetched = network.get_key_with_ids(C, GetKeyWithIds(SAE_C, SAE_A, keys.runs[0].ids))
    network.settle()
    assert isinstance(fetched[0], Keys)
    assert network.kmes[A].peers[C].relayed.owned.ledger.delivered > 0


def test_who_is_failed_by_both_is_told_in_time() -> None:
    network = line(blocks=200, wait_s=4.0)
    run_dry(network)
    answers = network.get_key(A, GetKey(SAE_A, SAE_C))
    for _ in range(9):
        network.clock.advance(0.5)
        network.kmes[A].tick()
        network.settle()
    assert isinstance(answers[0], Unavailable)
