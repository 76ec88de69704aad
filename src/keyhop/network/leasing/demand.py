"""How much to lease ahead, from what is taken, what the link brings, and how far away the follower is. All rates are
in units a second.

A lease holds what the next quarter of a second takes, and the next trips to the follower and back, so that nobody
waits for one; but no more than the link brings in two seconds, because a crash burns it. Where more is taken than the
link brings, out of stock, a lease holds at least what is taken during these trips. Where little is taken, four pads of
relayed keys are ready: each hop of a key that is relayed on demand would else cost a trip of its own.
"""

from math import exp

from keyhop.core.clock import Clock

AHEAD_S = 0.25
BURN_S = 2.0
HASTE_S = 0.01
TRIPS = 4
"""A lease is asked for when half of the last one is left, and that shall last for more than a trip."""
MOST_TRIP_S = 0.5
LEAST_UNITS = 4
READY_UNITS = 64
MOST_UNITS = 1 << 18
WINDOW_S = 0.05
PEAK_DECAY_S = 2.0
BROUGHT_OVER_S = 10.0


class Demand:
    """Measures one stream's demand, with its peaks, and the average of its link."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = self._brought_at = clock.monotonic()
        self._taken = self._last = 0
        self._peak = self._trip_s = 0.0
        self._brought_units = self._brought_s = 0.0

    def took(self, units: int) -> None:
        """A request took so many units."""
        self._taken += units
        self._last = units

    def answered(self, took_s: float) -> None:
        """It took so long until the follower had noted a lease."""
        self._trip_s += (min(took_s, MOST_TRIP_S) - self._trip_s) / 4

    def brought(self, units: int) -> None:
        """The link brought so many, for whichever of its two streams."""
        now = self._clock.monotonic()
        decay = exp((self._brought_at - now) / BROUGHT_OVER_S)
        self._brought_units = self._brought_units * decay + units
        self._brought_s = self._brought_s * decay + BROUGHT_OVER_S * (1.0 - decay)
        self._brought_at = now

    def lease_units(self) -> int:
        """How many units a lease shall hold now."""
        taking, bringing = self._taking(), self._average(self._brought_at)
        trips_s = TRIPS * self._trip_s
        most = max(BURN_S * bringing, (HASTE_S + trips_s) * taking, LEAST_UNITS)
        return int(min(max((AHEAD_S + trips_s) * taking, self._last, READY_UNITS), most, MOST_UNITS))

    def bringing(self) -> float:
        """What the link brings, for both of its streams; less and less while nothing comes."""
        return self._average(self._clock.monotonic())

    def brought_within(self, seconds: float) -> int:
        """Units that it brings in so long, as far as it has done so of late; less and less while nothing comes."""
        decay = exp((self._brought_at - self._clock.monotonic()) / BROUGHT_OVER_S)
        return int(self._brought_units * decay * seconds / BROUGHT_OVER_S)

    def _taking(self) -> float:
        """Follows a rise within a window, and a fall over `PEAK_DECAY_S`."""
        now = self._clock.monotonic()
        elapsed = now - self._since
        if elapsed >= WINDOW_S:
            rate, decay = self._taken / elapsed, exp(-elapsed / PEAK_DECAY_S)
            self._peak = max(rate, self._peak * decay + rate * (1.0 - decay))
            self._taken, self._since = 0, now
        return max(self._peak, self._taken / WINDOW_S)

    def _average(self, at: float) -> float:
        """Of what the link brought until then."""
        decay = exp((self._brought_at - at) / BROUGHT_OVER_S)
        seconds = self._brought_s * decay + BROUGHT_OVER_S * (1.0 - decay)
        return self._brought_units * decay / seconds if seconds else 0.0
