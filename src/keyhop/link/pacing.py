"""Which blocks of a paced source are due: decided by the wall clock alone, so that both ends agree without a word.

The rules: block `n` is due at `n * interval_s` seconds since 1970. What was due before the start is never emitted,
nor is anything a second time, whatever the clock does. After a stall only the newest blocks are made up for.
"""

import math

MAX_CATCH_UP = 32
"""Blocks that one stall may bring at once; the older ones are left out at this end."""


class Pacer:
    """The sequences of one end. `after` is the highest sequence that was ever used, from an earlier life."""

    def __init__(self, interval_s: float, *, after: int = -1) -> None:
        self.interval_s = interval_s
        self._last = after

    def start(self, wall_s: float) -> None:
        """From here on only what is strictly later than now."""
        self._last = max(self._last, self._at(wall_s))

    def due(self, wall_s: float) -> range:
        """The sequences to emit now, each of them once; empty when none is due."""
        newest = self._at(wall_s)
        if newest <= self._last:
            return range(0)
        first = max(self._last + 1, newest - MAX_CATCH_UP + 1)
        self._last = newest
        return range(first, newest + 1)

    def wait_s(self, wall_s: float) -> float:
        """Seconds until the next block is due; more than one interval means that the clock stepped back."""
        return max(0.0, self.produced_at(self._last + 1) - wall_s)

    def produced_at(self, sequence: int) -> float:
        """When a block is due, in seconds since 1970: the same at both ends."""
        return sequence * self.interval_s

    def _at(self, wall_s: float) -> int:
        return math.floor(wall_s / self.interval_s)
