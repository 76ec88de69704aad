"""What one SAE, or one pair of SAEs, may ask for, and how much of that is left."""

from dataclasses import dataclass
from math import inf

from keyhop.core.errors import BadRequest, KeyhopError, Unavailable
from keyhop.service.gauges import Bucket, Gauge, Period, Quota, Rate

type Subject = str | tuple[str, str]
"""An SAE, or a pair: master and slave."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What each SAE or pair that `of` names may ask for; None is no limit. Bytes are bytes of key."""

    of: Subject
    requests: Rate | None = None
    bytes: Rate | None = None
    quota_bytes: Quota | None = None


class Meter:
    """The levels of one SAE or pair; they begin full."""

    __slots__ = ("keys", "limit", "requests")

    def __init__(self, limit: Limit, now: float) -> None:
        self.limit = limit
        self.requests: list[Gauge] = []
        self.keys: list[Gauge] = []
        if limit.requests:
            self.requests.append(Bucket(limit.requests, "requests", now))
        if limit.bytes:
            self.keys.append(Bucket(limit.bytes, "bytes of key", now))
        if limit.quota_bytes:
            self.keys.append(Period(limit.quota_bytes, "bytes of key", now))

    def is_full(self, now: float) -> bool:
        """Whether a new one would be no different."""
        return all(gauge.is_full(now) for gauge in (*self.requests, *self.keys))

    def check(self, subject: Subject, size_bytes: int, now: float) -> None:
        """Raises Unavailable with the time to wait, or BadRequest for what no waiting would help."""
        for gauge in self.requests:
            if wait_s := gauge.wait_s(1, now):
                raise _refusal(subject, gauge, wait_s)
        for gauge in self.keys if size_bytes else ():
            if wait_s := gauge.wait_s(size_bytes, now):
                raise _refusal(subject, gauge, wait_s)

    def spend(self, size_bytes: int, now: float) -> None:
        """One request for so many bytes. The caller has asked `check`."""
        for gauge in self.requests:
            gauge.spend(1, now)
        for gauge in self.keys if size_bytes else ():
            gauge.spend(size_bytes, now)


def _refusal(subject: Subject, gauge: Gauge, wait_s: float) -> KeyhopError:
    who = named(subject)
    if wait_s == inf:
        return BadRequest(f"this is more than {who} may ever have at once: {gauge}")
    return Unavailable(f"the limit of {who} is reached: {gauge}", retry_after_s=wait_s)


def named(subject: Subject) -> str:
    """For people."""
    return f"SAE {subject}" if isinstance(subject, str) else f"SAEs {subject[0]} and {subject[1]}"
