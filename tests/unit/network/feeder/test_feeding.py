"""Relayed streams are kept filled, over whatever path there is; and who finds one empty gets a key all the same."""

import pytest

from keyhop.core.errors import Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.units import UNIT_BYTES
from keyhop.network.feeder.options import Buffering, FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.pair import Pair
from keyhop.network.relay.messages import Strategy
from keyhop.service.policy import Policy, Rule
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

A, B, C, D = (KmeId(name) for name in "ABCD")
HOME = {SaeId(name.lower()): KmeId(name) for name in "ABCD"}
SAE_A, SAE_B, SAE_C, SAE_D = HOME
SQUARE = ((A, B), (B, C), (A, D), (C, D))
"""From A to C lead two paths, over B and over D."""


def network(links: tuple[tuple[KmeId, KmeId], ...] = SQUARE, **options: object) -> VirtualNetwork:
    made = VirtualNetwork(HOME, links=links, **options)  # type: ignore[arg-type]
    made.settle()
    return made


def run(network: VirtualNetwork, seconds: float, blocks: int = 1) -> None:
    for _ in range(round(seconds)):
        network.produce(blocks)
        network.pass_time(1.0)


def stock(network: VirtualNetwork, source: KmeId, destination: KmeId) -> int:
    return network.kmes[source].peers[destination].relayed.owned.stock_units * UNIT_BYTES


def ask(network: VirtualNetwork, request: GetKey) -> Keys | Exception:
    answers = network.get_key(HOME[request.master], request)
    network.settle()
    if not answers:
        network.pass_time(3.0)
    (answer,) = answers
    return answer


def exchange(network: VirtualNetwork, master: SaeId = SAE_A, slave: SaeId = SAE_C, number: int = 1) -> Keys:
    """Keys that both get."""
    keys = ask(network, GetKey(master, slave, number))
    assert isinstance(keys, Keys), keys
    answers = network.get_key_with_ids(HOME[slave], GetKeyWithIds(slave, master, keys.runs[0].ids))
    network.settle()
    (theirs,) = answers
    assert isinstance(theirs, Keys), theirs
    assert theirs.runs[0].material == keys.runs[0].material
    return keys


def all_pairs(network: VirtualNetwork) -> list[Pair]:
    return [pair for kme in network.kmes.values() for pair in kme.kme.pairs()]


def assert_balanced(network: VirtualNetwork) -> None:
    for pair in all_pairs(network):
        for stream in (pair.owned, pair.followed):
            assert stream.ledger.balances(stream.available_bytes), str(stream.ref)


@pytest.mark.parametrize(
    "terms",
    [Terms(), Terms("xor-at-destination"), Terms("secret-shared", 2, 2), Terms("secret-shared", 2, 2, 2)],
    ids=["hop-by-hop", "xor", "shared", "2 of 2"],
)
def test_streams_between_kmes_without_a_link_fill_and_serve(terms: Terms) -> None:
    sites = network(terms=terms)
    run(sites, 20, blocks=4)
    for source, destination in ((A, C), (C, A), (B, D), (D, B)):
        assert stock(sites, source, destination) >= 8192
    exchange(sites)
    exchange(sites, SAE_D, SAE_B)
    assert_balanced(sites)


def test_a_stream_is_filled_to_its_high_mark_and_not_on() -> None:
    sites = network()
    run(sites, 60, blocks=8)
    assert 8192 <= stock(sites, A, C) <= 2 * 16384
    before = stock(sites, A, C)
    run(sites, 30, blocks=8)
    assert stock(sites, A, C) == before


def test_neighbours_whose_link_is_cut_are_served_over_others() -> None:
    sites = network()
    run(sites, 20, blocks=4)
    sites.cut.add((A, B))
    for name, peer in ((A, B), (B, A)):
        sites.kmes[name].peers[peer].neighbour.generating = False
    direct = sites.kmes[A].peers[B].neighbour.owned
    while direct.stock_units:
        sites.produce(2)
        sites.pass_time(0.5)
        exchange(sites, SAE_A, SAE_B, number=min(direct.stock_units // 4 or 1, 100))
    for _ in range(20):
        sites.produce(2)
        sites.pass_time(0.5)
        exchange(sites, SAE_A, SAE_B)
    ledger = sites.kmes[A].peers[B].relayed.owned.ledger
    assert ledger.delivered > 0, "the direct stream is used up, and the relayed one took over"
    assert_balanced(sites)


def test_on_demand_nothing_is_kept_and_each_key_is_relayed_when_it_is_asked_for() -> None:
    sites = network(feeder=FeederOptions("on-demand"))
    run(sites, 5, blocks=4)
    assert stock(sites, A, C) == 0
    for _ in range(5):
        exchange(sites)
        sites.produce()
        sites.pass_time(0.5)
    assert stock(sites, A, C) == 0
    assert sites.kmes[A].peers[C].relayed.owned.ledger.produced == 0


@pytest.mark.parametrize("buffering", ["prefetch", "on-demand"])
def test_without_a_path_the_reason_is_said(buffering: Buffering) -> None:
    sites = network(links=((A, B), (C, D)), feeder=FeederOptions(buffering))
    run(sites, 5)
    refused = ask(sites, GetKey(SAE_A, SAE_C))
    assert isinstance(refused, Unavailable)
    assert refused.message == "no key material is left for KME C: no path of QKD links to KME C"


def test_a_path_that_is_known_again_is_not_said_to_be_missing() -> None:
    row = network(((A, B), (B, C)))

    def work(works: bool) -> None:
        for name, peer in ((B, C), (C, B)):
            row.kmes[name].peers[peer].neighbour.generating = works

    def knows_a_path() -> bool:
        return bool(row.kmes[A].kme.view.paths(A, C))

    feeder = row.kmes[A].kme.feeder
    row.produce(8)
    work(False)
    while knows_a_path() or feeder.trouble(C) is None:
        row.pass_time(0.1)
        work(False)
    assert feeder.trouble(C) == "no path of QKD links to KME C"
    work(True)
    while not knows_a_path():
        assert feeder.trouble(C) == "no path of QKD links to KME C"
        row.pass_time(0.1)
    assert feeder.trouble(C) != "no path of QKD links to KME C"


@pytest.mark.parametrize("strategy", ["hop-by-hop", "xor-at-destination"])
def test_while_pads_are_waited_for_the_reason_is_said(strategy: Strategy) -> None:
    row = network(((A, B), (B, C)), terms=Terms(strategy))
    run(row, 5, blocks=4)
    reasons = set[str]()
    for _ in range(40):  # no link brings anything, but until lately all did
        while isinstance(answer := ask(row, GetKey(SAE_A, SAE_C, 16)), Keys):
            pass
        assert isinstance(answer, Unavailable)
        reasons.add(answer.message.removeprefix("no key material is left for KME C"))
    assert ": what is relayed to it has not come yet" in reasons
    assert "" not in reasons


def test_a_link_that_brings_nothing_costs_those_before_it_nothing_either() -> None:
    row = network(((A, B), (B, C), (C, D)))
    run(row, 20, blocks=4)
    row.cut.add((B, C))
    for name, peer in ((B, C), (C, B)):
        row.kmes[name].peers[peer].neighbour.generating = False
    for _ in range(100):  # until B has next to nothing left for C
        run(row, 1)
        while isinstance(ask(row, GetKey(SAE_A, SAE_C, 50)), Keys):
            pass
    owned = row.kmes[A].peers[B].neighbour.owned
    before = owned.ledger.pad
    run(row, 60)
    assert stock(row, A, C) < 8192, "there is something to be sent"
    assert owned.ledger.pad - before <= 512, owned.ledger.pad - before


def test_with_too_few_paths_nothing_is_relayed_and_the_reason_is_said() -> None:
    sites = network(links=((A, B), (B, C), (C, D)), terms=Terms("secret-shared", 2, 2))
    run(sites, 5)
    refused = ask(sites, GetKey(SAE_A, SAE_C))
    assert isinstance(refused, Unavailable)
    assert "2 node-disjoint paths to KME C are needed, and 1 known" in refused.message


@pytest.mark.parametrize("dead", [B, D])
def test_when_a_node_on_the_path_dies_the_other_path_is_taken(dead: KmeId) -> None:
    sites = network()
    run(sites, 20, blocks=4)
    for name in (A, B, C, D):
        if name != dead:
            sites.kmes[name].peers[dead].disconnect()
    sites.dead.add(dead)
    for _ in range(300):
        sites.produce(2)
        sites.pass_time(0.5)
        exchange(sites)
    assert_balanced(sites)


def test_greedy_and_honest_flows_share_a_scarce_link() -> None:
    """A→C and B→D both need the link between B and C; the first asks for ten times as much."""
    sites = network(links=((A, B), (B, C), (C, D)))
    before = (0, 0)
    for second in range(200):
        sites.produce(1, 1024)
        for _ in range(30):
            sites.get_key(A, GetKey(SAE_A, SAE_C))
        for _ in range(3):
            sites.get_key(B, GetKey(SAE_B, SAE_D))
        sites.pass_time(1.0)
        if second == 99:
            before = delivered(sites)
    greedy, honest = (now - then for now, then in zip(delivered(sites), before, strict=True))
    assert honest == 100 * 3 * 32
    assert greedy > 2 * honest


def delivered(network: VirtualNetwork) -> tuple[int, int]:
    """What masters at A got for C, and at B for D."""
    streams = (network.kmes[A].peers[C], network.kmes[B].peers[D])
    first, second = (peer.relayed.owned.ledger.delivered for peer in streams)
    return first, second


def test_streams_of_a_higher_priority_are_fed_first_and_fairness_is_of_one_priority() -> None:
    """A→C and B→D both need the link between B and C, which has enough for one of them."""
    urgent = Policy(rules=(Rule(master="a", gives={"priority": 7}),))
    sites = network(links=((A, B), (B, C), (C, D)), policy=urgent)
    for _ in range(150):
        sites.produce(1, 1024)
        for _ in range(30):
            sites.get_key(A, GetKey(SAE_A, SAE_C))
            sites.get_key(B, GetKey(SAE_B, SAE_D))
        sites.pass_time(1.0)
    first, second = delivered(sites)
    assert first > 2 * second
    assert sites.kmes[A].kme.feeder.fairness()[7] == 1.0


def test_over_a_slow_link_blocks_are_as_small_as_it_takes() -> None:
    """From B to C come 150 bytes a second, and SAEs ask for a hundred times as much."""
    sites = network(links=((A, B), (B, C)))
    before = 0
    for second in range(240):
        sites.produce(8, 4096, links=[(A, B)])
        if second % 4 == 0:
            sites.produce(1, 1200, links=[(B, C)])
        for _ in range(20):
            sites.get_key(A, GetKey(SAE_A, SAE_C, 32))
            sites.get_key(A, GetKey(SAE_A, SAE_C))
        sites.pass_time(1.0)
        if second == 119:
            before = delivered_to_c(sites)
    assert delivered_to_c(sites) - before > 120 * 150 / 2
    ledger = sites.kmes[A].peers[B].neighbour.owned.ledger
    assert ledger.pad < 2.5 * sites.kmes[A].peers[C].relayed.owned.ledger.produced, "few pads were used up in vain"


def delivered_to_c(network: VirtualNetwork) -> int:
    """What masters at A got."""
    return network.kmes[A].peers[C].relayed.owned.ledger.delivered
