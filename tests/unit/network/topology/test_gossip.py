"""One node in the gossip: what it tells whom, as a dialogue. Whole networks are in `tests/simulation`."""

from keyhop.core.ids import KmeId
from keyhop.network.topology.gossip import GONE_S, SILENT_S, STALL_S, Gossip
from keyhop.network.topology.own_report import LIFE_S
from keyhop.network.topology.reports import LinkReport, NodeReport, Report
from keyhop.network.topology.view import View
from keyhop.testing.virtual import VirtualClock

ME, BOB, CAROL, DAVE, ERIN = (KmeId(name) for name in ("alice", "bob", "carol", "dave", "erin"))
MALLORY = KmeId("mallory")


def report(node: KmeId, version: int = 1, *links: KmeId) -> NodeReport:
    return NodeReport(node, 1, version, tuple(LinkReport(peer, True, 4096, 0) for peer in links))


class Alice:
    """Her gossip, and what she said to whom since it was last looked at."""

    def __init__(self, *peers: KmeId) -> None:
        self.clock = VirtualClock()
        self.view = View(ME, [BOB, CAROL, DAVE, ERIN], self.clock)
        self.gossip = Gossip(ME, self.clock, lambda peer, message: self._said.append((peer, message)), self.view)
        self._said: list[tuple[KmeId, Report]] = []
        for peer in peers:
            self.gossip.connected(peer)
            self.hears(peer, report(peer))
        self.said()

    def hears(self, peer: KmeId, what: NodeReport, age_s: float = 0.0, hears: tuple[KmeId, ...] = ()) -> None:
        self.gossip.received(peer, Report(what, int(age_s * 1000), hears))

    def said(self) -> list[tuple[KmeId, KmeId, int]]:
        """Whom she told, of which node, which version; in the order of names."""
        said = sorted((peer, message.report.node, message.report.version) for peer, message in self._said)
        self._said.clear()
        return said

    def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            self.clock.advance(0.1)
            self.gossip.tick(())


def test_what_a_peer_says_is_told_to_those_who_do_not_hear_it() -> None:
    alice = Alice(BOB, CAROL, DAVE)
    alice.hears(CAROL, report(CAROL, 2), hears=(BOB,))
    alice.said()
    alice.hears(BOB, report(BOB, 2))
    assert alice.said() == [(DAVE, BOB, 2)]


def test_hearsay_is_passed_on_once() -> None:
    alice = Alice(BOB, CAROL, DAVE)
    alice.hears(BOB, report(ERIN, 5))
    assert alice.said() == [(CAROL, ERIN, 5), (DAVE, ERIN, 5)]
    alice.hears(CAROL, report(ERIN, 5))
    alice.hears(BOB, report(ERIN, 5))
    assert alice.said() == []


def test_whoever_tells_something_old_is_told_what_is_new() -> None:
    alice = Alice(BOB, CAROL)
    alice.hears(BOB, report(ERIN, 5))
    alice.said()
    alice.hears(CAROL, report(ERIN, 4))
    assert alice.said() == [(CAROL, ERIN, 5)]


def test_a_peer_is_told_when_others_know_something_newer_of_it() -> None:
    alice = Alice(BOB, CAROL)
    alice.hears(BOB, report(CAROL, 9))
    assert alice.said() == [(CAROL, CAROL, 9)]


def test_a_peer_that_begins_anew_is_told_what_it_said_before() -> None:
    """Its clock may be behind, so that what it says seems to be older."""
    alice = Alice(BOB, CAROL)
    alice.hears(BOB, report(BOB, 7))
    alice.gossip.disconnected(BOB)
    alice.gossip.connected(BOB)
    alice.said()
    alice.hears(BOB, report(BOB, 1))
    assert (BOB, BOB, 7) in alice.said()
    assert alice.gossip._known[BOB].report.version == 1


def test_a_new_peer_is_told_all_that_it_does_not_hear_itself() -> None:
    alice = Alice(BOB, CAROL)
    alice.hears(BOB, report(ERIN, 5))
    alice.gossip.connected(DAVE)
    alice.said()
    alice.hears(DAVE, report(DAVE), hears=(CAROL,))
    assert [told for told in alice.said() if told[0] == DAVE] == [(DAVE, BOB, 1), (DAVE, ERIN, 5)]


def test_whoever_does_not_hear_somebody_any_more_is_told() -> None:
    alice = Alice(BOB, CAROL)
    alice.hears(BOB, report(BOB, 2), hears=(CAROL,))
    alice.hears(CAROL, report(CAROL, 2))
    alice.said()
    alice.hears(BOB, report(BOB, 3), hears=())
    assert (BOB, CAROL, 2) in alice.said()


def test_hearsay_grows_old_on_its_way() -> None:
    alice = Alice(BOB, CAROL)
    alice.hears(BOB, report(ERIN), age_s=2.0)
    alice.gossip.connected(DAVE)
    alice.passes(1.0)
    alice._said.clear()
    alice.hears(DAVE, report(DAVE))
    (age_ms,) = [message.age_ms for peer, message in alice._said if message.report.node == ERIN]
    assert 2990 <= age_ms <= 3010
    alice.passes(GONE_S - 3.0 - 0.1)
    assert ERIN in alice.gossip.known()
    alice.passes(0.2)
    assert ERIN not in alice.gossip.known()


def test_hearsay_that_is_too_old_is_none() -> None:
    alice = Alice(BOB, CAROL)
    alice.hears(BOB, report(ERIN), age_s=GONE_S)
    assert alice.said() == []
    assert ERIN not in alice.gossip.known()


def test_of_a_node_that_is_not_configured_nothing_is_taken() -> None:
    alice = Alice(BOB, CAROL)
    alice.hears(BOB, report(MALLORY, 1, BOB))
    alice.passes(0.1)
    assert MALLORY not in {node for _, node, _ in alice.said()}
    assert MALLORY not in alice.gossip.known()


def test_a_sign_of_life_goes_to_all_peers() -> None:
    alice = Alice(BOB, CAROL)
    alice.passes(0.1)
    alice.said()
    alice.passes(LIFE_S + 0.1)
    assert [told[:2] for told in alice.said()] == [(BOB, ME), (CAROL, ME)]


def test_a_peer_that_says_nothing_any_more_is_not_heard() -> None:
    alice = Alice(BOB)
    alice.passes(SILENT_S - 0.1)
    assert alice.gossip.hears(BOB)
    alice.passes(0.2)
    assert not alice.gossip.hears(BOB)


def test_time_in_which_this_node_did_not_run_is_nobodys_silence() -> None:
    alice = Alice(BOB)
    alice.passes(1.0)
    alice.clock.advance(STALL_S + 10.0)
    alice.gossip.tick(())
    assert alice.gossip.hears(BOB)
    assert BOB in alice.gossip.known()
    alice.passes(SILENT_S)
    assert not alice.gossip.hears(BOB)


def test_outside_a_session_nothing_is_believed() -> None:
    alice = Alice(BOB)
    alice.hears(CAROL, report(CAROL))
    assert CAROL not in alice.gossip.known()
    alice.gossip.disconnected(BOB)
    assert not alice.gossip.hears(BOB)
