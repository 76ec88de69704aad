"""A link as its operators see it."""

import asyncio
from collections.abc import Callable

import pytest

from keyhop.core.errors import LinkError
from keyhop.core.ids import KmeId, LinkId
from keyhop.link.adapter import Disturbance, Eavesdropper, LinkBlock, LinkEvent, LinkStatus
from keyhop.node.node_link import MAX_ACTIVITY, MAX_SAMPLES, NodeLink
from keyhop.testing.virtual import VirtualClock


class Adapter:
    kind = "toy"
    physics = False

    def __init__(self) -> None:
        self.now = LinkStatus("off", None, 0.0, None, 0)
        self.starts = 0

    async def start(self, deliver: Callable[[LinkBlock], None]) -> None:
        self.starts += 1
        self.now = LinkStatus("generating", None, 1e6, 0.03, 1, {"sifted_bps": 4e6})

    async def stop(self) -> None:
        self.now = LinkStatus("off", None, 0.0, None, 1)

    def status(self) -> LinkStatus:
        return self.now


class SimulatedAdapter(Adapter):
    disturbance = Disturbance()

    def disturb(self, disturbance: Disturbance) -> None:
        self.disturbance = disturbance


def make(adapter: Adapter) -> tuple[NodeLink, VirtualClock]:
    clock = VirtualClock(1000.0)
    link = NodeLink(LinkId("a-b"), KmeId("bob"), clock, lambda block: None)
    link.adapter = adapter
    return link, clock


def texts(link: NodeLink) -> list[tuple[bool, str]]:
    return [(each.alarm, each.text) for each in link.activity()]


def test_its_life_is_in_the_activity_log() -> None:
    adapter = Adapter()
    link, _ = make(adapter)

    async def scenario() -> None:
        await link.start()
        await link.start()
        adapter.now = LinkStatus("stopped", "QBER 26.0% is over the limit of 11%", 0.0, 0.26, 1)
        link.observe()
        link.observe()
        adapter.now = LinkStatus("stopped", "the far end is silent", 0.0, 0.26, 1)
        link.observe()
        adapter.now = LinkStatus("generating", None, 1e6, 0.03, 2)
        link.observe()
        link.report(LinkEvent(alarm=True, text="a message was altered"))
        await link.stop()
        await link.stop()

    asyncio.run(scenario())
    assert adapter.starts == 1
    assert texts(link) == [
        (False, "started"),
        (False, "generating"),
        (True, "stopped: QBER 26.0% is over the limit of 11%"),
        (False, "stopped: the far end is silent"),
        (False, "generating"),
        (True, "a message was altered"),
        (False, "stopped by the operator"),
        (False, "off"),
    ]
    assert link.info().alarms == 2


@pytest.mark.parametrize("event_first", [True, False])
def test_an_alarm_that_the_adapter_raises_is_raised_once(event_first: bool) -> None:
    adapter = Adapter()
    link, clock = make(adapter)
    reason = "QBER 26 % is over the limit"

    def stop(*, with_event: bool) -> None:
        adapter.now = LinkStatus("stopped", reason, 0.0, 0.26, 1)
        steps = [link.observe] if not with_event else [lambda: link.report(LinkEvent(True, reason)), link.observe]
        for step in steps if event_first else reversed(steps):
            step()

    asyncio.run(link.start())
    stop(with_event=True)
    assert link.info().alarms == 1
    adapter.now = LinkStatus("generating", None, 1e6, 0.03, 2)
    link.observe()
    clock.advance(60.0)
    stop(with_event=False)
    assert link.info().alarms == 2
    assert len([alarm for alarm, _ in texts(link) if alarm]) == 2


def test_a_link_that_does_not_generate_has_no_rate_and_the_last_qber() -> None:
    adapter = Adapter()
    link, _ = make(adapter)
    for state in ("stopped", "starting", "off"):
        adapter.now = LinkStatus(state, None, 5e5, 0.26, 1)  # of the blocks of the last seconds
        link.sample()
        assert (link.info().sbr_bps, link.info().qber) == (0.0, 0.26)
        assert (link.series()[-1].sbr_bps, link.series()[-1].qber) == (0.0, 0.26)
    adapter.now = LinkStatus("generating", None, 5e5, 0.03, 1)
    assert link.info().sbr_bps == 5e5


def test_the_series_has_a_sample_each_second_and_an_end() -> None:
    link, clock = make(Adapter())
    asyncio.run(link.start())
    for _ in range(MAX_SAMPLES + 5):
        clock.advance(1.0)
        link.sample()
    series = link.series()
    assert len(series) == MAX_SAMPLES
    assert (series[0].at, series[-1].at) == (1006.0, 1000.0 + MAX_SAMPLES + 5)
    assert (series[-1].state, series[-1].sbr_bps, series[-1].qber) == ("generating", 1e6, 0.03)


def test_the_activity_log_keeps_the_newest() -> None:
    link, _ = make(Adapter())
    for number in range(MAX_ACTIVITY + 3):
        link.report(LinkEvent(alarm=False, text=str(number)))
    assert (link.activity()[0].text, link.activity()[-1].text) == ("3", str(MAX_ACTIVITY + 2))


def test_a_simulated_line_is_disturbed() -> None:
    adapter = SimulatedAdapter()
    link, _ = make(adapter)
    link.disturb(Disturbance(eavesdropper=Eavesdropper(fraction=0.3)))
    link.disturb(Disturbance(eavesdropper=Eavesdropper(fraction=0.3)))
    link.disturb(Disturbance(cut=True, extra_loss_db=3.0))
    assert link.disturbance() == adapter.disturbance == Disturbance(cut=True, extra_loss_db=3.0)
    link.disturb(Disturbance())
    assert [text for _, text in texts(link)] == [
        "lab: an eavesdropper: intercept-resend on 30 % of the pulses, basis random",
        "lab: the line is cut, 3 dB of extra loss",
        "lab: the line is undisturbed",
    ]


def test_a_real_line_is_not() -> None:
    link, _ = make(Adapter())
    with pytest.raises(LinkError, match="not simulated"):
        link.disturb(Disturbance(cut=True))
    with pytest.raises(LinkError, match="not simulated"):
        link.disturbance()
