"""Levels that requests lower and time raises: a rate with a burst, and a quota for each period. Times are monotonic."""

from dataclasses import dataclass
from math import inf
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second in the long run, and `burst` at once."""

    per_s: float
    burst: float


@dataclass(frozen=True, slots=True)
class Quota:
    """So many in each period, which begins with its first request."""

    amount: float
    period_s: float


class Gauge(Protocol):
    """A level. It begins full; as text it says what it allows."""

    def wait_s(self, amount: float, now: float) -> float:
        """0.0 when so much can be spent; else the seconds to wait, infinity for what can never be. Changes nothing."""
        ...

    def spend(self, amount: float, now: float) -> None:
        """Lowers the level. The caller has asked `wait_s`."""
        ...

    def give_back(self, amount: float, spent_at: float) -> None:
        """What was spent then was not had."""
        ...

    def is_full(self, now: float) -> bool:
        """Whether a new one would be no different."""
        ...

    def left(self, now: float) -> float:
        """What can be spent at once."""
        ...


class Bucket:
    """A `Rate` of some unit."""

    __slots__ = ("_at", "_level", "_rate", "_unit")

    def __init__(self, rate: Rate, unit: str, now: float) -> None:
        self._rate = rate
        self._level = rate.burst
        self._at = now
        self._unit = unit

    def wait_s(self, amount: float, now: float) -> float:
        """As `Gauge` says."""
        rate, level = self._rate, self.left(now)
        if level >= amount:
            return 0.0
        return (amount - level) / rate.per_s if amount <= rate.burst else inf

    def spend(self, amount: float, now: float) -> None:
        """As `Gauge` says."""
        self._level = self.left(now) - amount
        self._at = now

    def give_back(self, amount: float, spent_at: float) -> None:
        """As `Gauge` says."""
        self._level = min(self._level + amount, self._rate.burst)

    def is_full(self, now: float) -> bool:
        """As `Gauge` says."""
        return self.left(now) >= self._rate.burst

    def left(self, now: float) -> float:
        """As `Gauge` says."""
        return min(self._level + (now - self._at) * self._rate.per_s, self._rate.burst)

    def __str__(self) -> str:
        return f"{self._rate.per_s:.9g} {self._unit} per second, {self._rate.burst:.9g} at once"


class Period:
    """A `Quota` of some unit, and what is left of it."""

    __slots__ = ("_began_at", "_ends_at", "_left", "_quota", "_unit")

    def __init__(self, quota: Quota, unit: str, now: float) -> None:
        self._quota = quota
        self._left = quota.amount
        self._began_at, self._ends_at = now, now + quota.period_s
        self._unit = unit

    def wait_s(self, amount: float, now: float) -> float:
        """As `Gauge` says."""
        if self.left(now) >= amount:
            return 0.0
        return self._ends_at - now if amount <= self._quota.amount else inf

    def spend(self, amount: float, now: float) -> None:
        """As `Gauge` says."""
        if now >= self._ends_at:
            self._left, self._began_at, self._ends_at = self._quota.amount, now, now + self._quota.period_s
        self._left -= amount

    def give_back(self, amount: float, spent_at: float) -> None:
        """As `Gauge` says; what was spent in an earlier period is lost with it."""
        if spent_at >= self._began_at:
            self._left = min(self._left + amount, self._quota.amount)

    def is_full(self, now: float) -> bool:
        """As `Gauge` says."""
        return self.left(now) == self._quota.amount

    def left(self, now: float) -> float:
        """As `Gauge` says."""
        return self._quota.amount if now >= self._ends_at else self._left

    def __str__(self) -> str:
        return f"{self._quota.amount:.9g} {self._unit} in {self._quota.period_s:.9g} s"
