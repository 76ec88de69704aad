"""One link of a node: its adapter, and what its operators do and see of it.

The series has a sample a second of the last quarter of an hour; the activity log the last few hundred events, newest
last: what operators did, each change of state, and what the adapter has to say. A link that stops by itself, or
that reports something as such, raises an alarm.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

import structlog

from keyhop.core.clock import Clock
from keyhop.core.errors import LinkError
from keyhop.core.ids import KmeId, LinkId
from keyhop.link.adapter import DisturbableLink, Disturbance, LinkAdapter, LinkBlock, LinkEvent, LinkState, LinkStatus
from keyhop.node.state import LinkActivity, LinkInfo, LinkSample

SAMPLE_S = 1.0
MAX_SAMPLES = 900
MAX_ACTIVITY = 500
SAME_ALARM_S = 3.0
"""An adapter's event and the change of state that belongs to it come within this time, in either order."""
_REMEMBERED_ALARMS = 16

_log = structlog.get_logger(__name__)


class NodeLink:
    """`deliver` takes the blocks. `adapter` is set once the adapter is made, which needs `report` of this link."""

    adapter: LinkAdapter

    def __init__(self, link: LinkId, peer: KmeId, clock: Clock, deliver: Callable[[LinkBlock], None]) -> None:
        self.id = link
        self.peer = peer
        self.alarms = 0
        self._clock = clock
        self._deliver = deliver
        self._started = False
        self._seen: tuple[LinkState, str | None] = ("off", None)
        self._reported: deque[tuple[str, float]] = deque(maxlen=_REMEMBERED_ALARMS)
        self._raised: tuple[str, float] | None = None
        self._series: deque[LinkSample] = deque(maxlen=MAX_SAMPLES)
        self._activity: deque[LinkActivity] = deque(maxlen=MAX_ACTIVITY)

    async def start(self) -> None:
        """Begins to produce, if it does not already. Raises LinkError."""
        if not self._started:
            self._started = True
            self._note("started", alarm=False)
            await self.adapter.start(self._deliver)
        self.observe()

    async def stop(self) -> None:
        """Ends production, if there is any."""
        if self._started:
            self._started = False
            self._note("stopped by the operator", alarm=False)
            await self.adapter.stop()
        self.observe()

    async def close(self) -> None:
        """The node ends."""
        await self.adapter.stop()

    def report(self, event: LinkEvent) -> None:
        """From the adapter, for the activity log; not again what `observe` has just raised an alarm for."""
        if event.alarm and self._raised is not None and self._is_of_now(event.text, [self._raised]):
            return
        self._note(event.text, alarm=event.alarm)
        if event.alarm:
            self._reported.append((event.text, self._clock.monotonic()))

    def disturb(self, disturbance: Disturbance) -> None:
        """What a lab does to the line. LinkError when the line is not simulated."""
        line = self._line()
        if line.disturbance != disturbance:
            line.disturb(disturbance)
            self._note(f"lab: {disturbance}", alarm=False)

    def disturbance(self) -> Disturbance:
        """What the line suffers now. LinkError when it is not simulated."""
        return self._line().disturbance

    def observe(self) -> None:
        """Looks whether the state has changed."""
        status = self.adapter.status()
        now = (status.state, status.reason)
        if now == self._seen:
            return
        stopped_before, self._seen = self._seen[0] == "stopped", now
        text = status.state if status.reason is None else f"{status.state}: {status.reason}"
        alarm = status.state == "stopped" and not stopped_before and not self._is_of_now(status.reason, self._reported)
        self._raised = (status.reason or "", self._clock.monotonic()) if alarm else None
        self._note(text, alarm=alarm)

    def sample(self) -> None:
        """A second has passed."""
        self.observe()
        status = self._status()
        self._series.append(LinkSample(self._clock.wall(), status.state, status.sbr_bps, status.qber))

    @property
    def generating(self) -> bool:
        """Whether it made key when it was last looked at."""
        return self._seen[0] == "generating"

    def series(self) -> list[LinkSample]:
        """SBR and QBER over time, oldest first."""
        return list(self._series)

    def activity(self) -> list[LinkActivity]:
        """What happened, oldest first."""
        return list(self._activity)

    def info(self) -> LinkInfo:
        """The link as this end sees it now."""
        status = self._status()
        return LinkInfo(
            id=self.id,
            peer=self.peer,
            kind=self.adapter.kind,
            physics=self.adapter.physics,
            state=status.state,
            reason=status.reason,
            sbr_bps=status.sbr_bps,
            qber=status.qber,
            blocks=status.blocks,
            alarms=self.alarms,
            details=status.details,
        )

    def _is_of_now(self, text: str | None, alarms: Iterable[tuple[str, float]]) -> bool:
        """Whether there was an alarm of that text within the last seconds: it is the same one."""
        since_s = self._clock.monotonic() - SAME_ALARM_S
        return any(known == text and at_s >= since_s for known, at_s in alarms)

    def _status(self) -> LinkStatus:
        """The adapter's, but that a link which does not generate has no rate, whatever it had seconds ago."""
        status = self.adapter.status()
        return status if status.state == "generating" else replace(status, sbr_bps=0.0)

    def _line(self) -> DisturbableLink:
        if not isinstance(self.adapter, DisturbableLink):
            raise LinkError(f"the line of link {self.id} is not simulated")
        return self.adapter

    def _note(self, text: str, *, alarm: bool) -> None:
        self._activity.append(LinkActivity(self._clock.wall(), alarm, text))
        self.alarms += alarm
        (_log.warning if alarm else _log.info)("link", link=self.id, peer=self.peer, text=text)
