"""When there is an edge, and when it is another one than before."""

from keyhop.core.ids import KmeId
from keyhop.network.topology.edges import Edges
from keyhop.network.topology.reports import LinkReport

A, B, C = KmeId("a"), KmeId("b"), KmeId("c")
MIB = 1 << 20


def link(peer: KmeId, *, up: bool = True, stock: int = MIB, rate: int = 0, priority: int = 4) -> LinkReport:
    return LinkReport(peer, up, stock, rate, priority)


def joined() -> Edges:
    edges = Edges()
    edges.say(A, (link(B),))
    edges.say(B, (link(A),))
    return edges


def test_there_is_none_until_both_ends_say_so() -> None:
    edges = Edges()
    edges.say(A, (link(B),))
    assert not list(edges.hops())
    edges.say(B, (link(C),))
    assert not list(edges.hops())
    edges.say(B, (link(A),))
    assert {hop for hop, _ in edges.hops()} == {(A, B), (B, A)}


def test_it_is_gone_when_one_end_says_so() -> None:
    for node, links in ((A, ()), (B, ()), (A, (link(B, up=False),)), (B, (link(A, up=False), link(C)))):
        edges = joined()
        version = edges.version
        edges.say(node, links)
        assert not list(edges.hops())
        assert not edges.nodes()
        assert edges.version > version


def test_stock_is_the_senders_and_priority_what_both_agree_to() -> None:
    edges = joined()
    edges.say(A, (link(B, stock=5 * MIB, rate=8000, priority=6),))
    edges.say(B, (link(A, stock=MIB, priority=3),))
    there, back = edges.of(A)[B], edges.of(B)[A]
    assert (there.stock_bytes, there.rate_bps, there.priority) == (5 * MIB, 8000, 3)
    assert (back.stock_bytes, back.rate_bps, back.priority) == (MIB, 0, 3)


def test_a_stock_that_goes_to_and_fro_around_a_level_keeps_its_level() -> None:
    edges = joined()
    version = edges.version
    for stock in (MIB - 1, MIB + 1, MIB - MIB // 8, 2 * MIB, MIB - 1):
        edges.say(A, (link(B, stock=stock),))
        assert edges.of(A)[B].stock_bytes == stock
    assert edges.version == version


def test_a_stock_that_is_clearly_another_one_is_another_level() -> None:
    edges = joined()
    for stock, level in ((MIB // 2, 19), (2 * MIB, 21), (5 * MIB, 22), (1, 0), (0, None), (MIB, 20)):
        version = edges.version
        edges.say(A, (link(B, stock=stock),))
        assert edges.of(A)[B].level == level
        assert edges.version > version


def test_what_a_link_brings_soon_counts_as_stock() -> None:
    edges = joined()
    edges.say(A, (link(B, stock=0, rate=2 * MIB * 8 // 10),))
    assert edges.of(A)[B].level == 20
