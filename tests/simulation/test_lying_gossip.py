"""A node that lies about others: it forges nothing that lasts, silences nobody and fills nobody's memory.

alice (a) and carol (c) do not talk to each other; bob (b) talks to both. mallory (m) talks to carol, and later to all.
"""

import pytest
from gossiping import MIB, GossipNetwork, pairs

from keyhop.core.ids import KmeId
from keyhop.network.topology.gossip import AT_ONCE, GONE_S
from keyhop.network.topology.own_report import LIFE_S
from keyhop.network.topology.reports import MAX_NUMBER, LinkReport, NodeReport, Report

A, B, C, M = (KmeId(name) for name in "abcm")
LINKS = pairs("ab bc cm")
SOON_S = 1.3
"""Two signs of life, and the way."""


def links(*peers: str) -> tuple[LinkReport, ...]:
    return tuple(LinkReport(KmeId(peer), True, MIB, 0) for peer in peers)


def network(sessions: str = "ab bc cm") -> GossipNetwork:
    net = GossipNetwork(pairs(sessions), set(LINKS), 1)
    net.run(4.0)
    assert net.agree_on(LINKS)
    return net


def believed_by(net: GossipNetwork, name: str, node: KmeId) -> NodeReport:
    return net.gossips[name]._known[node].report


def version_of(net: GossipNetwork, node: KmeId) -> tuple[int, int]:
    return net.gossips[node]._own.latest.order


@pytest.mark.parametrize("sessions", ["ab bc cm", "ab bc cm am bm ac"])
def test_no_edge_is_forged_by_one_end(sessions: str) -> None:
    net = network(sessions)
    started, version = version_of(net, M)
    net.kill("m")
    net.dead.discard("m")  # mallory goes on by himself
    for peer in net._peers("m"):
        net.connect("m", peer)
    for n in range(1, 20):
        for peer in net._peers("m"):
            net.say("m", KmeId(peer), Report(NodeReport(M, started, version + n, links("a", "b", "c", "x"))))
        net.run(LIFE_S)
        assert all((M, KmeId(peer)) not in dict(net.views["c"].edges()) for peer in "abx")


def test_what_is_said_of_somebody_who_is_heard_does_not_count() -> None:
    net = network()
    net.stock["b", "c"] = 5 * MIB
    net.run(1.0)
    net.say("m", C, Report(NodeReport(B, MAX_NUMBER - 1, 0, links("m"))))
    net.run(0.05)
    assert {hop for hop, _ in net.views["c"].edges() if B in hop} == {(A, B), (B, A), (B, C), (C, B)}


@pytest.mark.parametrize("ahead", [(0, 1), (0, 10**9), (10**9, 0), (10**9, MAX_NUMBER)])
def test_a_lie_about_somebody_out_of_hearing_is_outbid(ahead: tuple[int, int]) -> None:
    net = network()
    started, version = version_of(net, A)
    lie = NodeReport(A, started + ahead[0], min(version + ahead[1], MAX_NUMBER), links("m"))
    net.say("m", C, Report(lie))
    net.time_until(lambda: believed_by(net, "c", A) == lie, 0.1)
    assert net.time_until(lambda: believed_by(net, "c", A).links == links("b")) <= SOON_S
    assert net.agree_on(LINKS)
    net.stock["a", "b"] = 7
    assert net.time_until(lambda: net.stock_seen_by("c", "a", "b") == 7) <= SOON_S


@pytest.mark.parametrize("version", [MAX_NUMBER - 1, MAX_NUMBER])
def test_a_lie_that_cannot_be_outbid_is_forgotten(version: int) -> None:
    net = network()
    net.say("m", C, Report(NodeReport(A, MAX_NUMBER, version, links("m"))))
    net.run(0.1)
    assert believed_by(net, "c", A).links == links("m")
    assert net.time_until(lambda: A in net.gossips["c"]._known and net.agree_on(LINKS)) <= GONE_S + SOON_S


def test_lies_about_us_do_not_make_us_say_what_nobody_takes() -> None:
    """After the worst of them a restart of anybody mends everything."""
    net = network()
    for version in (0, MAX_NUMBER - 2, MAX_NUMBER):
        net.say("m", C, Report(NodeReport(C, MAX_NUMBER, version, ())))
        net.run(1.0)
    net.run(GONE_S + SOON_S)
    assert net.agree_on(LINKS)
    net.kill("a")
    net.start("a", -1e6)
    assert net.time_until(lambda: net.agree_on(LINKS)) <= 2.0


def test_nodes_that_nobody_has_configured_are_not_heard_of() -> None:
    """They took the paths of a network an event loop's time to find."""
    net = network("ab bc cm bm")
    before = {name: net.views[name]._edges.version for name in net.names}
    for n in range(3000):
        net.say("m", C, Report(NodeReport(KmeId(f"n{n}"), 1, 1, links("m", f"n{n + 1}"))))
    told = net.sent
    net.run(0.05)
    assert net.sent - told < 20
    net.run(1.0)
    assert set(net.gossips["c"]._known) == {A, B, M}
    assert {name: net.views[name]._edges.version for name in net.names} == before
    assert net.agree_on(LINKS)


@pytest.mark.parametrize("about", [A, B, M])
def test_one_that_talks_much_does_not_make_others_talk_much(about: KmeId) -> None:
    """Of whoever it is: of what is hearsay, of what its node is told in turn, of what is older than what is known."""
    net = network()
    net.run(1.0)
    before, ahead = net.sent, 0 if about == M else MAX_NUMBER // 2
    for n in range(3000):
        net.say("m", C, Report(NodeReport(about, 1, ahead + n, links("c"))))
    net.run(0.3)
    assert net.sent - before - 3000 <= 2 * 5 * AT_ONCE
    net.say("m", C, Report(NodeReport(about, 1, 0, links("c"))))
    net.run(GONE_S + SOON_S)
    assert net.agree_on(LINKS)


def test_one_that_says_that_it_hears_all_keeps_only_itself_ignorant() -> None:
    net = network()
    net.kill("m")
    net.dead.discard("m")
    net.connect("m", "c")
    for n in range(1, 6):
        net.say("m", C, Report(NodeReport(M, MAX_NUMBER, n, links("c")), 0, (A, B, C)))
        net.run(LIFE_S)
    assert all({(A, B), (B, C), (C, M)} <= dict(net.views[name].edges()).keys() for name in "abc")


def test_old_messages_that_come_again_change_nothing() -> None:
    net = network()
    old = believed_by(net, "c", A), believed_by(net, "c", B)
    net.stock["a", "b"] = net.stock["b", "c"] = 7
    net.run(1.0)
    net.say("m", C, Report(old[0]))
    net.say("b", C, Report(old[1]))
    net.run(0.05)
    assert (net.stock_seen_by("c", "a", "b"), net.stock_seen_by("c", "b", "c")) == (7, 7)


def test_what_is_passed_round_is_forgotten_all_the_same() -> None:
    """Sessions that end and begin tell what is known once more, with its age."""
    net = network("ab bc cm bm")
    net.kill("a")
    began = net.now
    while any(A in net.gossips[name]._known for name in "bcm"):
        assert net.now - began <= GONE_S + SOON_S
        peer = net.random.choice(["bc", "cm", "bm"])
        net.gossips[peer[0]].disconnected(KmeId(peer[1]))
        net.gossips[peer[1]].disconnected(KmeId(peer[0]))
        net.connect(*peer)
        net.run(0.1)
