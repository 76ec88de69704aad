"""How much SAEs may ask for, each SAE for itself and each pair of SAEs for itself.

1. Of the limits for SAEs the most specific one that fits counts, and of those for pairs too: a name beats `*`, and a
   master's name beats a slave's. A limit that says `*` is one for each: nobody uses up what is another's.
2. Requests are both calls of whoever asks. Bytes are those of the keys that a master asks for, once for each slave.
3. A request that is over any limit costs nothing. One that no key came of costs itself, but no bytes.
4. Levels live in memory, and begin full. A limit that a reload does not change keeps them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.errors import KeyhopError
from keyhop.core.ids import SaeId
from keyhop.service.meters import Limit, Meter, Subject, named
from keyhop.service.policy import ANYONE

SWEEP_S = 10.0
"""How often levels that are full again are forgotten."""


class _Bill(NamedTuple):
    """Who is charged for one request, and for so many bytes of key."""

    subject: Subject
    meter: Meter
    size_bytes: int


class Charge:
    """What one request was charged, all at one time."""

    __slots__ = ("_at", "_bills")

    def __init__(self, at: float, bills: Sequence[_Bill]) -> None:
        self._at = at
        self._bills = bills

    def no_key_came(self) -> None:
        """Gives the bytes back; that somebody asked stands."""
        for _, meter, size_bytes in self._bills:
            for gauge in meter.keys if size_bytes else ():
                gauge.give_back(size_bytes, self._at)


class Limits:
    """Charges requests. Levels exist only for SAEs and pairs that asked of late."""

    def __init__(self, limits: Iterable[Limit], clock: Clock) -> None:
        self._clock = clock
        self._limits: dict[Subject, Limit] = {}
        self._of_pairs = False
        self._meters: dict[Subject, Meter] = {}
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
        bills = self._bills(caller, master, slaves, size_bytes, now)
        for subject, meter, owed_bytes in bills:
            self._meters[subject] = meter
            meter.spend(owed_bytes, now)
        return Charge(now, bills)

    def check(self, caller: SaeId, master: SaeId, slaves: Sequence[SaeId], size_bytes: int) -> None:
        """Raises what `charge` would; costs nothing."""
        self._bills(caller, master, slaves, size_bytes, self._clock.monotonic())

    def levels(self, caller: SaeId, master: SaeId, slave: SaeId) -> list[str]:
        """What is left of the limits that a request for this pair comes under, as sentences; costs nothing."""
        now = self._clock.monotonic()
        found: list[str] = []
        for subject in (caller, (master, slave)):
            meter = self._meter(subject, now)
            if meter is not None:
                gauges = (*meter.requests, *meter.keys)
                found += [f"{named(subject)}: {gauge}, {gauge.left(now):.9g} left" for gauge in gauges]
        return found

    def tick(self) -> None:
        """Forgets the levels that a new one would not differ from."""
        now = self._clock.monotonic()
        if now - self._swept_at >= SWEEP_S:
            self._swept_at = now
            self._meters = {of: meter for of, meter in self._meters.items() if not meter.is_full(now)}

    def _bills(
        self, caller: SaeId, master: SaeId, slaves: Sequence[SaeId], size_bytes: int, now: float
    ) -> Sequence[_Bill]:
        """What `charge` charges whom. Raises as it does."""
        owed: list[tuple[Subject, int]] = [(caller, size_bytes * len(slaves))]
        if self._of_pairs:
            owed += (((master, slave), size_bytes) for slave in slaves)
        bills = []
        for subject, owed_bytes in owed:
            meter = self._meter(subject, now)
            if meter is not None:
                meter.check(subject, owed_bytes, now)
                bills.append(_Bill(subject, meter, owed_bytes))
        return bills

    def _meter(self, subject: Subject, now: float) -> Meter | None:
        """That of a subject, with full levels if it has not asked of late; None without a limit."""
        meter = self._meters.get(subject)
        if meter is None and (limit := self._limit(subject)) is not None:
            meter = Meter(limit, now)
        return meter

    def _limit(self, subject: Subject) -> Limit | None:
        limits = self._limits
        if isinstance(subject, str):
            return limits.get(subject) or limits.get(ANYONE)
        master, slave = subject
        wider = ((master, slave), (master, ANYONE), (ANYONE, slave), (ANYONE, ANYONE))
        return next((limits[of] for of in wider if of in limits), None)


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
