"""SBR and QBER of a link over the last seconds."""

from collections import deque

WINDOW_S = 10.0


class Meter:
    """Measures one run of a link. All times are monotonic seconds."""

    def __init__(self, started_s: float) -> None:
        self._started_s = started_s
        self._samples: deque[tuple[float, int, float]] = deque()

    def add(self, now_s: float, size_bytes: int, qber: float) -> None:
        """Counts a block that was delivered."""
        self._samples.append((now_s, size_bytes, qber))
        self._forget(now_s)

    def sbr_bps(self, now_s: float) -> float:
        """Secret bits per second over the window, or since the start when that is less ago."""
        self._forget(now_s)
        elapsed_s = min(WINDOW_S, now_s - self._started_s)
        return 8 * sum(size for _, size, _ in self._samples) / elapsed_s if elapsed_s > 0 else 0.0

    def qber(self, now_s: float) -> float | None:
        """Mean QBER of the blocks in the window, None when there were none."""
        self._forget(now_s)
        if not self._samples:
            return None
        return sum(qber for _, _, qber in self._samples) / len(self._samples)

    def _forget(self, now_s: float) -> None:
        while self._samples and self._samples[0][0] <= now_s - WINDOW_S:
            self._samples.popleft()
