"""What operators see of one end of a vendor link: state, reason, rate.

A fault stops the link with its reason until the same thing works again. A device that merely has nothing to give, or
a far end that is silent, counts as stopped only once no block has come for QUIET_S.
"""

from keyhop.core.clock import Clock
from keyhop.link.adapter import LinkState, LinkStatus
from keyhop.link.meter import Meter

QUIET_S = 30.0


class Health:
    """Of one adapter, over all its starts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._on = False
        self._blocks = 0
        self._lost = 0
        self._faults: dict[str, str] = {}
        self._waiting: dict[str, str] = {}
        self._any_block = False
        self._since_s = 0.0
        self._meter = Meter(0.0)

    def begin(self) -> None:
        """The link is started."""
        self._on, self._any_block = True, False
        self._faults, self._waiting = {}, {}
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
        self._waiting[activity] = reason

    def lost(self, pieces: int) -> None:
        """Keys of the device that became no block."""
        self._lost += pieces

    def delivered(self, size_bytes: int) -> None:
        """A block was delivered."""
        self._blocks += 1
        self._any_block = True
        self._since_s = self._clock.monotonic()
        self._meter.add(self._since_s, size_bytes, 0.0)

    def status(self, silence: str) -> LinkStatus:
        """`silence` says what is amiss while nothing comes, for want of a better reason. QBER is never known."""
        now_s = self._clock.monotonic()
        sbr_bps = self._meter.sbr_bps(now_s) if self._on else 0.0
        details: dict[str, float | int | str] = {"keys_lost": self._lost}
        if not self._on:
            return LinkStatus("off", None, sbr_bps, None, self._blocks, details)
        if self._faults:
            return LinkStatus("stopped", next(iter(self._faults.values())), sbr_bps, None, self._blocks, details)
        if now_s - self._since_s >= QUIET_S:
            why = next(iter(self._waiting.values()), silence)
            # Without the age, because whatever changes here is a line in the activity log.
            reason = f"no block for more than {QUIET_S:.0f} s: {why}"
            return LinkStatus("stopped", reason, sbr_bps, None, self._blocks, details)
        state: LinkState = "generating" if self._any_block else "starting"
        return LinkStatus(state, None, sbr_bps, None, self._blocks, details)
