"""Sites far apart: what is asked for takes the round trips that cannot be avoided, and no more."""

from itertools import pairwise

import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.relay.messages import Strategy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.distance import DistantNetwork

A, B, C, D, E = (KmeId(name) for name in "ABCDE")
CHAIN = (A, B, C, D, E)
HOME = {SaeId(kme.lower()): kme for kme in CHAIN}
ONE_WAY_S = 0.045
STRATEGIES: tuple[Strategy, ...] = ("hop-by-hop", "xor-at-destination")
SERIAL_COMMITS = [(STRATEGIES[0], C, 4), (STRATEGIES[0], E, 6), (STRATEGIES[1], C, 4), (STRATEGIES[1], E, 4)]


def hops(source: KmeId, target: KmeId) -> int:
    return abs(CHAIN.index(source) - CHAIN.index(target))


def sites(
    terms: Terms | None = None, buffering: str = "on-demand", produced: int = 100, commit_s: float = 0.0
) -> DistantNetwork:
    """A chain, each site 45 ms from the next, whose links have brought something a while ago."""
    links = tuple(pairwise(CHAIN))
    feeder = FeederOptions("on-demand" if buffering == "on-demand" else "prefetch")
    network = DistantNetwork(
        HOME, lambda one, other: ONE_WAY_S * hops(one, other), commit_s, links=links, feeder=feeder, terms=terms
    )
    network.run(1.0)
    network.produce(produced)
    network.run(30.0)
    return network


def sae(kme: KmeId) -> SaeId:
    return SaeId(kme.lower())


def enc_keys(network: DistantNetwork, target: KmeId) -> tuple[float, Keys]:
    took_s, keys = network.timed(A, GetKey(sae(A), sae(target)))
    assert isinstance(keys, Keys), keys
    return took_s, keys


def dec_keys(network: DistantNetwork, target: KmeId, keys: Keys) -> float:
    took_s, theirs = network.timed(target, GetKeyWithIds(sae(target), sae(A), keys.runs[0].ids))
    assert isinstance(theirs, Keys), theirs
    assert theirs.runs[0].material == keys.runs[0].material
    return took_s


@pytest.mark.parametrize("target", [C, D, E])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_key_on_demand_takes_one_round_trip(strategy: Strategy, target: KmeId) -> None:
    network = sites(Terms(strategy))
    least_s = network.round_trip_s(CHAIN[: hops(A, target) + 1])
    for _ in range(3):
        took_s, _ = enc_keys(network, target)
        assert took_s == pytest.approx(least_s, abs=1e-4)


@pytest.mark.parametrize(("strategy", "target", "commits"), SERIAL_COMMITS)
def test_a_key_on_demand_waits_for_so_many_commits_in_a_row(strategy: Strategy, target: KmeId, commits: int) -> None:
    """What leaves is noted, each node erases the pad before it, the record is kept, and the note is taken away."""
    commit_s = 1e-3
    network = sites(Terms(strategy), commit_s=commit_s)
    took_s, _ = enc_keys(network, target)
    waited_s = took_s - network.round_trip_s(CHAIN[: hops(A, target) + 1])
    assert waited_s == pytest.approx(commits * commit_s, abs=1e-4)


def test_keys_that_are_asked_for_at_the_same_time_wait_for_no_lease() -> None:
    network = sites()
    answers = [network.get_key(A, GetKey(sae(A), sae(C))) for _ in range(4)]
    network.run(network.round_trip_s((A, B, C)) + 1e-4)
    assert all(isinstance(answer[0], Keys) for answer in answers if answer)
    assert all(answers)


def test_who_asks_before_links_have_brought_anything_gets_a_key_once_they_have() -> None:
    network = sites(produced=0)
    answer = network.get_key(A, GetKey(sae(A), sae(C)))
    network.run(0.6)
    assert not answer
    network.produce(100)
    network.run(1.6)
    assert isinstance(answer[0], Keys), answer


def run_dry(network: DistantNetwork, target: KmeId) -> None:
    """All that is kept ahead is taken; the next blocks are on their way from now on."""
    stream = network.kmes[A].peers[target].relayed.owned
    keys = stream.stock_units // 4
    assert keys, "it was kept filled"
    _, answer = network.timed(A, GetKey(sae(A), sae(target), keys))
    assert isinstance(answer, Keys)
    assert stream.stock_units < 4
    network.run(0.1)
    assert network.kmes[A].kme.feeder.is_feeding(target)


@pytest.mark.parametrize("target", [C, E])
def test_who_finds_a_stream_empty_waits_one_round_trip_whatever_is_on_its_way_into_it(target: KmeId) -> None:
    network = sites(buffering="prefetch")
    run_dry(network, target)
    least_s = network.round_trip_s(CHAIN[: hops(A, target) + 1])
    for _ in range(2):
        took_s, _ = enc_keys(network, target)
        assert took_s == pytest.approx(least_s, abs=1e-4)


def test_many_who_find_a_stream_empty_wait_one_round_trip_as_long_as_links_have_plenty() -> None:
    network = sites(buffering="prefetch")
    run_dry(network, C)
    answers = [network.get_key(A, GetKey(sae(A), sae(C))) for _ in range(10)]
    network.run(network.round_trip_s((A, B, C)) + 1e-4)
    assert all(isinstance(answer[0], Keys) for answer in answers if answer)
    assert all(answers)


def test_who_is_told_of_a_relayed_key_fetches_it_without_waiting_for_the_masters_kme() -> None:
    network = sites()
    _, keys = enc_keys(network, C)
    network.run(2 * ONE_WAY_S)  # the master tells the slave its ID
    assert dec_keys(network, C, keys) == 0.0


def test_keys_of_streams_are_fetched_without_waiting_as_long_as_the_master_goes_on() -> None:
    network = sites(buffering="prefetch")
    for target in (B, C, E):
        for _ in range(40):  # a window is over every second
            took_s, keys = enc_keys(network, target)
            assert took_s == 0.0
            network.run(0.33)
            dec_keys(network, target, keys)
        for _ in range(40):
            _, keys = enc_keys(network, target)
            network.run(0.33)
            assert dec_keys(network, target, keys) == 0.0
