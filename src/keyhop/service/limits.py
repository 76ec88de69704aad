"""How much SAEs may ask for, each SAE for itself and each pair of SAEs for itself.

1. Of the limits for SAEs the most specific one that fits counts, and of those for pairs too: a name beats `*`, and a
   master's name beats a slave's. A limit that says `*` is one for each: nobody uses up what is another's.
2. Requests are both calls of whoever asks. Bytes are those of the keys that a master asks for, once for each slave.
3. A request that is over any limit costs nothing. One that no key came of costs itself, but no bytes.
4. Levels live in memory, and begin full. A limit that a reload does not change keeps them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from keyhop.core.clock import Clock
from keyhop.core.errors import BadRequest, KeyhopError, Unavailable
from keyhop.core.ids import SaeId
from keyhop.service.gauges import Bucket, Gauge, Period, Quota, Rate
from keyhop.service.policy import ANYONE

SWEEP_S = 10.0
"""How often levels that are full again are forgotten."""

type Subject = str | tuple[str, str]
"""An SAE, or a pair: master and slave."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What each SAE or pair that `of` names may ask for; None is no limit. Bytes are bytes of key."""

    of: Subject
    requests: Rate | None = None
    bytes: Rate | None = None
    quota_bytes: Quota | None = None


class _Meter:
    """The levels of one SAE or pair."""

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
        return all(gauge.is_full(now) for gauge in (*self.requests, *self.keys))


class Charge:
    """What one request was charged, all at one time."""

    __slots__ = ("at", "keys", "requests")

    def __init__(self, at: float) -> None:
        self.at = at
        self.requests: list[Gauge] = []
        self.keys: list[tuple[Gauge, int]] = []

    def no_key_came(self) -> None:
        """Gives the bytes back; that somebody asked stands."""
        for gauge, size_bytes in self.keys:
            gauge.give_back(size_bytes, self.at)

    def undo(self) -> None:
        """Gives everything back."""
        self.no_key_came()
        for gauge in self.requests:
            gauge.give_back(1, self.at)


class Limits:
    """Charges requests. Levels exist only for SAEs and pairs that asked of late."""

    def __init__(self, limits: Iterable[Limit], clock: Clock) -> None:
        self._clock = clock
        self._limits: dict[Subject, Limit] = {}
        self._of_pairs = False
        self._meters: dict[Subject, _Meter] = {}
        self.replace(limits)
        self._swept_at = clock.monotonic()

    def replace(self, limits: Iterable[Limit]) -> None:
        """Other limits from now on."""
        self._limits = {limit.of: limit for limit in limits}
        self._of_pairs = any(isinstance(of, tuple) for of in self._limits)
        self._meters = {of: meter for of, meter in self._meters.items() if self._limit(of) == meter.limit}

    def charge(self, caller: SaeId, master: SaeId, slaves: Sequence[SaeId], size_bytes: int) -> Charge | None:
        """Charges one request of a master or a slave for `size_bytes` of key for each slave; None without any limit.

        Raises Unavailable with the time to wait, or BadRequest for what no waiting would help.
        """
        if not self._limits:
            return None
        now = self._clock.monotonic()
        charge = Charge(now)
        self._spend(charge, caller, size_bytes * len(slaves), now)
        if self._of_pairs:
            for slave in slaves:
                self._spend(charge, (master, slave), size_bytes, now)
        return charge

    def levels(self, caller: SaeId, master: SaeId, slave: SaeId) -> list[str]:
        """What is left of the limits that a request for this pair comes under, as sentences; costs nothing."""
        now = self._clock.monotonic()
        found: list[str] = []
        for subject in (caller, (master, slave)):
            limit = self._limit(subject)
            if limit is not None:
                meter = self._meters.get(subject) or _Meter(limit, now)
                gauges = (*meter.requests, *meter.keys)
                found += [f"{_named(subject)}: {gauge}, {gauge.left(now):.9g} left" for gauge in gauges]
        return found

    def tick(self) -> None:
        """Forgets the levels that a new one would not differ from."""
        now = self._clock.monotonic()
        if now - self._swept_at >= SWEEP_S:
            self._swept_at = now
            self._meters = {of: meter for of, meter in self._meters.items() if not meter.is_full(now)}

    def _spend(self, charge: Charge, subject: Subject, size_bytes: int, now: float) -> None:
        meter = self._meters.get(subject)
        if meter is None:
            limit = self._limit(subject)
            if limit is None:
                return
            meter = self._meters[subject] = _Meter(limit, now)
        for gauge in meter.requests:
            if wait_s := gauge.spend(1, now):
                self._refuse(charge, subject, gauge, wait_s)
            charge.requests.append(gauge)
        if size_bytes:
            for gauge in meter.keys:
                if wait_s := gauge.spend(size_bytes, now):
                    self._refuse(charge, subject, gauge, wait_s)
                charge.keys.append((gauge, size_bytes))

    def _limit(self, subject: Subject) -> Limit | None:
        limits = self._limits
        if isinstance(subject, str):
            return limits.get(subject) or limits.get(ANYONE)
        master, slave = subject
        wider = ((master, slave), (master, ANYONE), (ANYONE, slave), (ANYONE, ANYONE))
        return next((limits[of] for of in wider if of in limits), None)

    def _refuse(self, charge: Charge, subject: Subject, gauge: Gauge, wait_s: float) -> None:
        charge.undo()
        who = _named(subject)
        if wait_s == inf:
            raise BadRequest(f"this is more than {who} may ever have at once: {gauge}")
        raise Unavailable(f"the limit of {who} is reached: {gauge}", retry_after_s=wait_s)


def charged[Answer](
    limits: Limits,
    master: SaeId,
    slaves: Sequence[SaeId],
    size_bytes: int,
    reply: Callable[[Answer | KeyhopError], None],
) -> Callable[[Answer | KeyhopError], None]:
    """The reply, once a master's request has been charged: it gives the bytes back when no key came.

    Raises as `Limits.charge`.
    """
    charge = limits.charge(master, master, slaves, size_bytes)
    return reply if charge is None else _giving_back(charge, reply)


def _giving_back[Answer](
    charge: Charge, reply: Callable[[Answer | KeyhopError], None]
) -> Callable[[Answer | KeyhopError], None]:
    def replied(answer: Answer | KeyhopError) -> None:
        if isinstance(answer, KeyhopError):
            charge.no_key_came()
        reply(answer)

    return replied


def _named(subject: Subject) -> str:
    return f"SAE {subject}" if isinstance(subject, str) else f"SAEs {subject[0]} and {subject[1]}"
