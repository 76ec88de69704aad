"""How long to wait before the next attempt."""

MAX_TOLD_S = 60.0
"""A device that says when to ask again is believed up to that."""


class Backoff:
    """Doubles from `first_s` up to `limit_s`."""

    def __init__(self, first_s: float, limit_s: float) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self._next_s = first_s

    def wait_s(self, told_s: float | None = None) -> float:
        """Seconds to wait now; at least what the device told, if that is sensible."""
        wait_s, self._next_s = self._next_s, min(self._limit_s, 2 * self._next_s)
        return max(wait_s, min(told_s, MAX_TOLD_S)) if told_s is not None else wait_s

    def reset(self) -> None:
        """It worked."""
        self._next_s = self._first_s
