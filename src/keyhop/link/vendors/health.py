"""What operators see of one end of a vendor link: state, reason, rate.

A fault stops the link with its reason until the same thing works again. A device that merely has nothing to give, or
a far end that is silent, counts as stopped only once no block has come for QUIET_S. A fault that the far end tells of
stops the link at this end too. No reason has a figure that runs, because each change is a line in the activity log.
"""

from keyhop.core.clock import Clock
from keyhop.link.adapter import LinkStatus
from keyhop.link.meter import Meter
from keyhop.link.vendors.messages import Told

QUIET_S = 30.0
TOLD_VALID_S = 10.0
"""So long the far end's word counts; it repeats it while it holds."""

FAR_END = "far end"
"""The activity whose faults are about how both ends fit together: both see them."""


class Health:
    """Of one adapter, over all its starts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._on = False
        self._blocks = 0
        self._lost = 0
        self._faults: dict[str, str] = {}
        self._waiting: dict[str, str] = {}
        self._awaited = ""
        self._far = Told("", fault=False)
        self._far_until_s = 0.0
        self._any_block = False
        self._since_s = 0.0
        self._meter = Meter(0.0)

    def begin(self) -> None:
        """The link is started."""
        self._on, self._any_block = True, False
        self._faults, self._waiting, self._awaited = {}, {}, ""
        self._far = Told("", fault=False)
        self._since_s = self._clock.monotonic()
        self._meter = Meter(self._since_s)

    def end(self) -> None:
        """The link is stopped by its operator."""
        self._on = False

    def fault(self, activity: str, reason: str) -> None:
        """That activity of the link fails."""
        self._faults[activity] = reason

    def works(self, activity: str) -> None:
        """That activity works again."""
        self._faults.pop(activity, None)
        self._waiting.pop(activity, None)

    def waiting(self, activity: str, reason: str) -> None:
        """That activity works, but has nothing to do now, for that reason."""
        self._faults.pop(activity, None)
        self._waiting[activity] = self._awaited = reason

    def far_end_says(self, told: Told) -> None:
        """What the far end suffers, or no longer does."""
        self._far = Told(_cleaned(told.reason), fault=told.fault)
        self._far_until_s = self._clock.monotonic() + TOLD_VALID_S

    @property
    def own_fault(self) -> str:
        """Why this end fails, for the far end; empty when it does not."""
        return next((reason for activity, reason in self._faults.items() if activity != FAR_END), "")

    @property
    def awaited(self) -> str:
        """What this end last waited for since a block came, for the far end; may be empty."""
        return self._awaited

    def lost(self, pieces: int) -> None:
        """Keys of the device that became no block."""
        self._lost += pieces

    def delivered(self, size_bytes: int) -> None:
        """A block was delivered."""
        self._blocks += 1
        self._any_block, self._awaited = True, ""
        self._far = Told("", fault=False)
        self._since_s = self._clock.monotonic()
        self._meter.add(self._since_s, size_bytes, 0.0)

    def status(self, silence: str) -> LinkStatus:
        """`silence` says what is amiss while nothing comes, for want of a better reason. QBER is never known."""
        now_s = self._clock.monotonic()
        sbr_bps = self._meter.sbr_bps(now_s) if self._on else 0.0
        details: dict[str, float | int | str] = {"keys_lost": self._lost}
        if not self._on:
            return LinkStatus("off", None, sbr_bps, None, self._blocks, details)
        fault = next(iter(self._faults.values()), None) or self._far_reason(fault=True)
        if fault:
            return LinkStatus("stopped", fault, sbr_bps, None, self._blocks, details)
        awaits = next(iter(self._waiting.values()), "")
        if now_s - self._since_s >= QUIET_S:
            reason = f"no block for more than {QUIET_S:.0f} s: {awaits or self._far_reason(fault=False) or silence}"
            return LinkStatus("stopped", reason, sbr_bps, None, self._blocks, details)
        if self._any_block:
            return LinkStatus("generating", None, sbr_bps, None, self._blocks, details)
        awaited = self._awaited or self._far_reason(fault=False) or None
        return LinkStatus("starting", awaited, sbr_bps, None, self._blocks, details)

    def _far_reason(self, *, fault: bool) -> str:
        told = self._far
        if not told.reason or told.fault is not fault or self._clock.monotonic() >= self._far_until_s:
            return ""
        return f"the far end says: {told.reason}"


def _cleaned(text: str) -> str:
    """Of the far end, fit for a terminal and a log: one line of what can be printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
