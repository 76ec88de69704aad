"""Each KME learns from its peers who is joined with whom, what links hold and bring, and tells of its own links."""

from functools import partial

from keyhop.core.ids import KmeId, SaeId
from keyhop.network import wire
from keyhop.network.leasing.leasing import KEPT_BACK_S
from keyhop.network.pair import PairOptions
from keyhop.network.topology.edges import Edge
from keyhop.network.topology.reports import NodeReport, Report
from keyhop.service.kme_options import KmeOptions
from keyhop.service.policy import Policy
from keyhop.testing.kme import VirtualKme
from keyhop.testing.virtual import SeededEntropy, VirtualClock

A, B, C, D = (KmeId(name) for name in ("alice", "bob", "carol", "dave"))
HOME = {SaeId(f"sae-{kme}"): kme for kme in (A, B, C, D)}
LINKS = ((A, B), (B, C), (C, D))
TICK_S = 0.1
BLOCK_BYTES = 4096


class Line:
    """Four KMEs that all talk to each other; QKD links join them in a line."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.silent: set[frozenset[KmeId]] = set()
        self.on_the_way: list[tuple[KmeId, KmeId, bytes]] = []
        self.kmes = {name: self._kme(name, n) for n, name in enumerate((A, B, C, D))}
        self.sequence = 0
        self.passes(2.0)

    def _kme(self, name: KmeId, seed: int) -> VirtualKme:
        return VirtualKme(
            name,
            tuple(peer for peer in (A, B, C, D) if peer != name),
            HOME,
            self.clock,
            SeededEntropy(seed),
            partial(self._send, name),
            Policy(),
            PairOptions(),
            neighbours=[peer for link in LINKS if name in link for peer in link if peer != name],
        )

    def _send(self, source: KmeId, target: KmeId, data: bytes) -> None:
        self.on_the_way.append((source, target, data))

    def settle(self) -> None:
        for _ in range(1000):
            for kme in self.kmes.values():
                kme.journal.flush()
            if not self.on_the_way:
                return
            source, target, data = self.on_the_way.pop(0)
            if frozenset((source, target)) not in self.silent:
                self.kmes[target].received(source, data)
        raise AssertionError("the network does not come to rest")

    def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.clock.advance(TICK_S)
            for kme in self.kmes.values():
                kme.tick()
            self.settle()

    def produce(self, *links: tuple[KmeId, KmeId]) -> None:
        self.sequence += 1
        for u, v in links:
            for me, peer in ((u, v), (v, u)):
                self.kmes[me].link_block(peer, self.sequence, bytes([self.sequence % 251]) * BLOCK_BYTES)
        self.settle()

    def seen_by(self, kme: KmeId) -> dict[tuple[KmeId, KmeId], Edge]:
        return dict(self.kmes[kme].kme.view.edges())


def both_ways(*links: tuple[KmeId, KmeId]) -> set[tuple[KmeId, KmeId]]:
    return {hop for u, v in links for hop in ((u, v), (v, u))}


def test_everybody_sees_the_links_of_all() -> None:
    line = Line()
    for kme in line.kmes:
        assert set(line.seen_by(kme)) == both_ways(*LINKS)
        assert not line.kmes[kme].kme.view.unreachable


def test_there_are_paths_once_links_have_brought_key() -> None:
    line = Line()
    view = line.kmes[A].kme.view
    assert view.paths(A, D) == ()
    for _ in range(8):
        line.produce(*LINKS)
        line.passes(0.2)
    assert view.paths(A, D) == ((A, B, C, D),)
    assert view.paths(D, A) == ((D, C, B, A),)


def test_what_is_told_is_what_the_owner_has_and_what_the_link_brings() -> None:
    line = Line()
    for _ in range(200):
        line.produce((A, B))
        line.passes(0.2)
    edge, pair = line.seen_by(D)[A, B], line.kmes[A].peers[B].neighbour
    for_others = pair.owned.stock_units - pair.leasing.demand.brought_within(KEPT_BACK_S)
    assert abs(edge.stock_bytes - 8 * for_others) <= 8 * BLOCK_BYTES
    assert abs(edge.rate_bps - BLOCK_BYTES * 8 / 0.2) < 0.1 * BLOCK_BYTES * 8 / 0.2
    assert edge.priority == 4


def test_a_link_that_does_not_generate_brings_nothing() -> None:
    line = Line()
    for _ in range(20):
        line.produce((A, B))
        line.passes(0.2)
    assert line.seen_by(D)[A, B].rate_bps
    line.kmes[A].peers[B].neighbour.generating = False
    line.passes(0.6)
    assert line.seen_by(D)[A, B].rate_bps == 0
    assert line.seen_by(D)[B, A].rate_bps


def test_the_operators_priority_is_told_and_may_change() -> None:
    line = Line()
    options = KmeOptions(Policy(), PairOptions(), link_priorities={B: 2})
    line.kmes[A].kme.reconfigure(options)
    line.passes(0.6)
    assert {line.seen_by(D)[A, B].priority, line.seen_by(D)[B, A].priority} == {2}
    assert line.seen_by(D)[B, C].priority == 4


def test_a_session_that_ends_takes_the_link_with_it_and_partitions_the_network() -> None:
    line = Line()
    line.silent.add(frozenset((B, C)))
    line.kmes[B].peers[C].disconnect()
    line.kmes[C].peers[B].disconnect()
    line.passes(0.5)
    for kme in line.kmes:
        assert set(line.seen_by(kme)) == both_ways((A, B), (C, D))
        assert line.kmes[kme].kme.view.unreachable == ({C, D} if kme in (A, B) else {A, B})
    line.silent.clear()
    line.kmes[B].connect(C)
    line.kmes[C].connect(B)
    line.passes(1.0)
    for kme in line.kmes:
        assert set(line.seen_by(kme)) == both_ways(*LINKS)


def test_a_kme_that_crashes_is_seen_again() -> None:
    line = Line()
    line.kmes[B].crash()
    line.passes(2.0)
    for kme in line.kmes:
        assert set(line.seen_by(kme)) == both_ways(*LINKS)


def test_gossip_goes_over_one_route_only() -> None:
    """On the other one it is what the protocol does not allow."""
    line = Line()
    sent: list[bytes] = []
    line.kmes[B].peers[A].disconnect()
    line.kmes[B].peers[A].connect(sent.append)
    line.kmes[A].peers[B].disconnect()
    line.kmes[A].connect(B)
    for _ in range(5):
        line.kmes[B].journal.flush()
        for data in (*sent,):
            sent.remove(data)
            line.kmes[A].received(B, data)
        line.settle()
    pair = line.kmes[B].peers[A].neighbour
    assert pair.synchronised
    envelopes = []
    pair.tell(Report(NodeReport(B, 1, 1, ())))
    line.kmes[B].journal.flush()
    envelopes = [wire.decode(data) for data in sent]
    assert [type(each.body) for each in envelopes if each.route == "direct"] == [Report]
    for data in sent:
        line.kmes[A].received(B, data)
    line.settle()
    assert not line.kmes[A].peers[B].synchronised
