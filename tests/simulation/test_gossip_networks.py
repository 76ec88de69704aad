"""Networks of twelve nodes that gossip: what all see within two seconds of whatever happens."""

import pytest
from gossiping import GossipNetwork, Pair, pairs

from keyhop.core.ids import KmeId

METRO = pairs("ab bc cd de ef fg gh hi ij jk kl la ag bh ck dj el")
"""A ring of twelve with chords."""
EVERYBODY = {frozenset((u, v)) for u in "abcdefghijkl" for v in "abcdefghijkl" if u < v}
WITHIN_S = 2.0

TALKING = pytest.mark.parametrize("sessions", [EVERYBODY, METRO], ids=["all talk", "neighbours talk"])
WIRES = pytest.mark.parametrize(
    ("loss", "repeat", "delay_s"),
    [(0.0, 0.0, (0.001, 0.02)), (0.05, 0.2, (0.001, 0.1))],
    ids=["good wires", "bad wires"],
)
SEEDS = pytest.mark.parametrize("seed", range(4))


def network(sessions: set[Pair], seed: int, loss: float = 0.0, repeat: float = 0.0) -> GossipNetwork:
    """One that has settled."""
    net = GossipNetwork(set(sessions), set(METRO), seed)
    net.loss, net.repeat = loss, repeat
    net.time_until(lambda: net.agree_on(METRO), 5.0)
    net.run(3.0)
    return net


@TALKING
@WIRES
@SEEDS
def test_a_network_that_starts_is_seen_by_all(
    sessions: set[Pair], loss: float, repeat: float, delay_s: tuple[float, float], seed: int
) -> None:
    net = GossipNetwork(set(sessions), set(METRO), seed)
    net.loss, net.repeat, net.delay_s = loss, repeat, delay_s
    assert net.time_until(lambda: net.agree_on(METRO)) <= WITHIN_S
    assert all(net.parts_seen_by(name) == {"abcdefghijkl"} for name in net.names)


@TALKING
@WIRES
@SEEDS
def test_a_cut_that_an_end_knows_of(
    sessions: set[Pair], loss: float, repeat: float, delay_s: tuple[float, float], seed: int
) -> None:
    net = network(sessions, seed, loss, repeat)
    net.delay_s = delay_s
    for link in net.random.sample(sorted(METRO, key=sorted), 3):
        net.cut.add(link)
        assert net.time_until(lambda: net.agree_on(METRO - net.cut)) <= WITHIN_S
    net.cut.clear()
    assert net.time_until(lambda: net.agree_on(METRO)) <= WITHIN_S


@TALKING
@SEEDS
def test_a_wire_that_falls_silent(sessions: set[Pair], seed: int) -> None:
    """Nobody is told that the session is dead."""
    net = network(sessions, seed)
    link = net.random.choice(sorted(METRO, key=sorted))
    net.silent.add(link)
    assert net.time_until(lambda: net.agree_on(METRO - {link})) <= WITHIN_S + 0.2
    net.silent.clear()
    assert net.time_until(lambda: net.agree_on(METRO)) <= WITHIN_S


@TALKING
@SEEDS
@pytest.mark.parametrize("wall_ahead_s", [0.0, -1e8, 1e8, -3600.0])
def test_a_node_that_is_killed_and_comes_back(sessions: set[Pair], seed: int, wall_ahead_s: float) -> None:
    """Its clock may have been set back or forward in between; others remember what it said before."""
    net = network(sessions, seed)
    victim = net.random.choice(net.names)
    net.kill(victim)
    left = {link for link in METRO if victim not in link}
    assert net.time_until(lambda: net.agree_on(left)) <= WITHIN_S
    assert all(victim in net.views[name].unreachable for name in net.live())
    net.run(net.random.choice([0.1, 1.0, 8.0]))
    net.start(victim, wall_ahead_s)
    assert net.time_until(lambda: net.agree_on(METRO)) <= WITHIN_S
    net.run(2.0)
    net.cut.add(next(link for link in METRO if victim in link))
    assert net.time_until(lambda: net.agree_on(METRO - net.cut)) <= WITHIN_S


@TALKING
@SEEDS
def test_a_machine_that_vanishes(sessions: set[Pair], seed: int) -> None:
    net = network(sessions, seed)
    victim = net.random.choice(net.names)
    net.kill(victim, told=False)
    left = {link for link in METRO if victim not in link}
    assert net.time_until(lambda: net.agree_on(left)) <= WITHIN_S + 0.2


@SEEDS
@pytest.mark.parametrize("talking", [True, False])
def test_both_sides_of_a_partition_report_it_and_its_end(seed: int, talking: bool) -> None:
    """The QKD links between a to f and the others are cut; their sessions, too, unless they go on `talking`."""
    net = network(EVERYBODY, seed)
    left = set("abcdef")
    across = {link for link in EVERYBODY if len(link & left) == 1}
    net.cut |= across
    if not talking:
        net.silent |= across
    parted = [{"abcdef", "ghijkl"}, {"abcdef", *"ghijkl"}, {"ghijkl", *"abcdef"}]

    def is_reported() -> bool:
        """Of the far side only what is heard of it is known: it may be one part or many."""
        return all(net.parts_seen_by(name) in parted for name in net.names)

    assert net.time_until(is_reported) <= WITHIN_S
    assert all(net.views[name].unreachable == set("ghijkl" if name in left else "abcdef") for name in net.names)
    for name in net.names:
        other = "g" if name in left else "a"
        assert not net.views[name].paths(KmeId(name), KmeId(other))
    net.run(20.0)
    assert is_reported()
    net.cut.clear()
    net.silent.clear()
    assert net.time_until(lambda: net.agree_on(METRO)) <= WITHIN_S
    assert all(net.parts_seen_by(name) == {"abcdefghijkl"} for name in net.names)


def test_where_all_talk_nothing_is_passed_on() -> None:
    """Each sign of life goes to eleven peers, and stays there."""
    net = network(EVERYBODY, 1)
    before = net.sent
    net.run(10.0)
    assert net.sent - before <= 1.1 * 12 * 11 * 10 / 0.5


def test_where_neighbours_talk_each_report_crosses_each_session_twice_at_most() -> None:
    net = network(METRO, 1)
    before = net.sent
    net.run(10.0)
    assert net.sent - before <= 1.1 * 12 * 2 * len(METRO) * 10 / 0.5


def test_stock_reaches_everybody() -> None:
    net = network(METRO, 1)
    net.stock["a", "b"] = 5
    assert net.time_until(lambda: all(net.stock_seen_by(name, "a", "b") == 5 for name in net.names)) < 1
