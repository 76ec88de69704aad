"""SBR and QBER of a link over the last seconds.

Blocks may come one by one or, as from a round of post-processing, many at once and then none for seconds. So it is
bursts that are measured, from the end of one to the end of another: what the first of them brought was made before.
"""

from collections import deque
from dataclasses import dataclass

WINDOW_S = 10.0
MIN_BURSTS = 4
"""So many are looked at also when they took longer, up to MAX_AGE_S."""
MAX_AGE_S = 60.0
BURST_S = 0.05
"""Blocks that come within this time of the first belong together."""


@dataclass(slots=True)
class _Burst:
    at_s: float
    size_bytes: int
    blocks: int
    qber_sum: float


class Meter:
    """Measures one run of a link. All times are monotonic seconds."""

    def __init__(self, started_s: float) -> None:
        self._started_s = started_s
        self._bursts: deque[_Burst] = deque()

    def add(self, now_s: float, size_bytes: int, qber: float) -> None:
        """Counts a block that was delivered."""
        last = self._bursts[-1] if self._bursts else None
        if last is not None and now_s - last.at_s < BURST_S:
            last.size_bytes += size_bytes
            last.blocks += 1
            last.qber_sum += qber
        else:
            self._bursts.append(_Burst(now_s, size_bytes, 1, qber))
        self._forget(now_s)

    def sbr_bps(self, now_s: float) -> float:
        """Secret bits per second; falls when the next burst is overdue."""
        self._forget(now_s)
        if not self._bursts:
            return 0.0
        first, last = self._bursts[0], self._bursts[-1]
        if len(self._bursts) == 1:
            elapsed_s = now_s - self._started_s
            return 8 * first.size_bytes / elapsed_s if elapsed_s > 0 else 0.0
        usual_s = (last.at_s - first.at_s) / (len(self._bursts) - 1)
        overdue_s = max(0.0, now_s - last.at_s - usual_s)
        made = sum(burst.size_bytes for burst in self._bursts) - first.size_bytes
        return 8 * made / (last.at_s - first.at_s + overdue_s)

    def qber(self, now_s: float) -> float | None:
        """Mean QBER of the blocks looked at, None when there were none."""
        self._forget(now_s)
        blocks = sum(burst.blocks for burst in self._bursts)
        return sum(burst.qber_sum for burst in self._bursts) / blocks if blocks else None

    def _forget(self, now_s: float) -> None:
        bursts = self._bursts
        while bursts and bursts[0].at_s <= now_s - (WINDOW_S if len(bursts) > MIN_BURSTS else MAX_AGE_S):
            bursts.popleft()
