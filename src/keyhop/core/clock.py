"""Time comes in from outside, so that tests can own it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Both clocks count seconds."""

    def wall(self) -> float:
        """Seconds since 1970, for ages that outlive the process."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment, never stepping back, for deadlines."""
        ...


class SystemClock:
    """The machine's clocks."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class SteadyClock:
    """Another clock, whose wall time goes on as it began: when somebody sets the machine's, no age changes at once.

    Two KMEs count the age of the same bytes, each by its own clock. One that suddenly took young bytes for old would
    erase what the other still gives out.
    """

    def __init__(self, clock: Clock) -> None:
        self.monotonic = clock.monotonic
        self._ahead = clock.wall() - clock.monotonic()

    def wall(self) -> float:
        return self._ahead + self.monotonic()
