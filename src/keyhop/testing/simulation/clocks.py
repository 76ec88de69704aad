"""The clocks of one machine: the monotonic one begins anywhere at each start, the wall clock is wrong and steps."""

from keyhop.testing.simulation.loop import Loop

EPOCH_S = 1_800_000_000.0


class MachineClock:
    """A `Clock`. `skew_s` is how far the wall clock is ahead of the truth."""

    def __init__(self, loop: Loop, skew_s: float) -> None:
        self._loop = loop
        self._booted_at = loop.now
        self.skew_s = skew_s

    def wall(self) -> float:
        return EPOCH_S + self._loop.now + self.skew_s

    def monotonic(self) -> float:
        return self._loop.now - self._booted_at

    def boot(self, running_for_s: float) -> None:
        """The machine starts anew; by now its monotonic clock has come as far as that."""
        self._booted_at = self._loop.now - running_for_s
