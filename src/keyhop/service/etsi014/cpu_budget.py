"""A bound on the CPU time of a thread that works for strangers."""


class CpuBudget:
    """How long to rest so that no more than `share` of the time is spent working; saves up for one second."""

    def __init__(self, share: float, now: float) -> None:
        self._share = share
        self._now = now
        self._left_s = share

    def rest_s(self, spent_s: float, now: float) -> float:
        """After `spent_s` of work until `now`."""
        earned = (now - self._now) * self._share
        self._left_s = min(self._left_s + earned, self._share) - spent_s
        self._now = now
        return max(0.0, -self._left_s / self._share)
