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

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
