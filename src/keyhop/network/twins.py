"""Two nodes that claim to be the same one: somebody copied it, and both run.

Each connection of a node takes the place of the one before. A process that comes back after another one had taken its
place shows that both live, because every process draws a number of its own, and one that has ended never speaks again.
"""

from collections import deque

from keyhop.core.clock import Clock

REMEMBERED = 16
ALARM_S = 60.0
"""How long after the last sign the alarm lasts."""


class Twins:
    """What is known of the processes that claim to be one node. `signs` counts how often two were seen to live."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: int | None = None
        self._earlier: deque[int] = deque(maxlen=REMEMBERED)
        self._seen_at = float("-inf")
        self.signs = 0

    @property
    def alarm(self) -> bool:
        """Whether there was a sign of late."""
        return self._clock.monotonic() < self._seen_at + ALARM_S

    def heard(self, process: int) -> None:
        """A session of that process begins."""
        if process == self._latest:
            return
        if process in self._earlier:
            self.sign()
        if self._latest is not None:
            self._earlier.append(self._latest)
        self._latest = process

    def sign(self) -> None:
        """There are two."""
        self.signs += 1
        self._seen_at = self._clock.monotonic()
