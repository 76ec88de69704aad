"""When a node says something of its links, and under which version."""

import pytest

from keyhop.core.ids import KmeId
from keyhop.network.topology.own_report import LEAST_S, LIFE_S, OwnReport
from keyhop.network.topology.reports import MAX_NUMBER, LinkReport, NodeReport
from keyhop.testing.virtual import VirtualClock

ME, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")
MIB = 1 << 20


def link(peer: KmeId = BOB, *, up: bool = True, stock: int = MIB, rate: int = 0, priority: int = 4) -> LinkReport:
    return LinkReport(peer, up, stock, rate, priority)


def said(*links: LinkReport) -> tuple[OwnReport, VirtualClock]:
    clock = VirtualClock()
    own = OwnReport(ME, clock)
    assert own.update(links)
    return own, clock


def test_with_no_news_it_says_the_same_as_a_sign_of_life() -> None:
    own, clock = said(link())
    first = own.latest
    clock.advance(LIFE_S - 0.01)
    assert not own.update((link(),))
    clock.advance(0.02)
    assert own.update((link(),))
    assert own.latest == NodeReport(ME, first.started, first.version + 1, (link(),))


@pytest.mark.parametrize(
    "now",
    [
        (link(up=False),),
        (link(priority=5),),
        (link(stock=MIB // 2),),
        (link(stock=2 * MIB),),
        (link(stock=0),),
        (link(rate=MIB),),
        (link(CAROL),),
        (link(), link(CAROL)),
        (),
    ],
)
def test_what_changes_paths_is_said_at_once_but_not_too_often(now: tuple[LinkReport, ...]) -> None:
    own, clock = said(link())
    clock.advance(LEAST_S - 0.01)
    assert not own.update(now)
    clock.advance(0.02)
    assert own.update(now)
    assert own.latest.links == now


@pytest.mark.parametrize("now", [link(stock=MIB - MIB // 8), link(stock=MIB + MIB // 8), link(rate=1000)])
def test_what_changes_no_paths_waits(now: LinkReport) -> None:
    own, clock = said(link())
    clock.advance(LEAST_S + 0.01)
    assert not own.update((now,))


def test_a_new_life_is_newer() -> None:
    own, clock = said(link())
    for _ in range(10):
        clock.advance(LIFE_S)
        own.update((link(),))
    assert OwnReport(ME, clock).latest.order > own.latest.order


@pytest.mark.parametrize("ahead", [(0, 1), (0, 10**6), (1, 0), (10**12, 5), (0, MAX_NUMBER), (10**12, MAX_NUMBER)])
def test_it_outbids_what_it_has_not_said(ahead: tuple[int, int]) -> None:
    own, clock = said(link())
    started, version = own.latest.order
    lie = NodeReport(ME, started + ahead[0], min(version + ahead[1], MAX_NUMBER), ())
    own.heard(lie)
    clock.advance(LEAST_S)
    assert own.update((link(),))
    assert own.latest.order > lie.order
    assert own.latest.links == (link(),)


def test_it_outbids_another_text_under_its_own_version() -> None:
    own, clock = said(link())
    before = own.latest.order
    own.heard(NodeReport(ME, *before, ()))
    clock.advance(LEAST_S)
    assert own.update((link(),))
    assert own.latest.order > before


def test_hearing_what_it_has_said_is_no_news() -> None:
    own, clock = said(link())
    earlier = own.latest
    clock.advance(LIFE_S)
    own.update((link(),))
    clock.advance(LEAST_S)
    own.heard(earlier)
    own.heard(own.latest)
    assert not own.update((link(),))


def test_however_many_lies_it_hears_it_answers_at_its_own_pace() -> None:
    own, clock = said(link())
    answers = 0
    for n in range(1000):
        clock.advance(0.001)
        own.heard(NodeReport(ME, own.latest.started + 1, n, ()))
        answers += own.update((link(),))
    assert answers <= 1 / LEAST_S


def test_a_version_that_cannot_be_outbid_changes_nothing() -> None:
    own, clock = said(link())
    before = own.latest
    own.heard(NodeReport(ME, MAX_NUMBER, MAX_NUMBER, ()))
    own.heard(NodeReport(ME, MAX_NUMBER, MAX_NUMBER // 2, ()))
    clock.advance(LIFE_S)
    assert own.update((link(),))
    assert own.latest.order == (before.started, before.version + 1)
