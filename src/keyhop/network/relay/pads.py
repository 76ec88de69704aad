"""Pads for the relay, from the direct stream to one neighbour: the one place where the relay takes bytes of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.core.priority import USUAL_PRIORITY
from keyhop.core.streams import Taken
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.network.leasing import Cancel, Leasing, Use
from keyhop.network.relay.fair_queue import FairQueue
from keyhop.network.relay.messages import SECRET_HEAD_BYTES
from keyhop.network.relay.parcels import Flow
from keyhop.network.sealing import MAC_KEY_BYTES

MAX_WAITING = 4096
"""When more wait, one is sent away, of the source of which most do: a bound for what others make this KME remember."""

SMALL_BYTES = 512
"""Of key. A block has more, so for what has no more somebody waits: it comes before the blocks of its flow, and before
those of others as long as its flow has not had `HEAD_START_BYTES` more than they."""
HEAD_START_BYTES = 16 << 10

PATIENCE_S = (1.0, 16.0)
"""How long a share of others waits for its pad, before its source hears of it and takes another way: on a link that
does not bring as much in the longer time, and on one that does."""


class Standing(NamedTuple):
    """What a flow counts here: its priority, whatever it says, and what part of a scarce link it gets beside others of
    that."""

    priority: int
    weight: float


type StandingOf = Callable[[Flow], Standing]


@dataclass(slots=True, eq=False)
class _Asked:
    flow: Flow
    priority: int
    size_bytes: int
    deadline: float
    use: Use
    urgent: bool


class Pads:
    """Asks the leasing for one pad at a time, so that those who wait keep their turns, and may be overtaken."""

    def __init__(self, leasing: Leasing, clock: Clock, standing: StandingOf) -> None:
        self._leasing = leasing
        self._clock = clock
        self._standing = standing
        self._queue: FairQueue[tuple[KmeId, KmeId, KmeId], _Asked] = FairQueue()
        self._first: _Asked | None = None
        """The one that waits at the leasing."""
        self._give_up: Cancel = lambda: None
        self._going_on = False

    def take(self, flow: Flow, size_bytes: int, deadline: float, use: Use, *, asked_for: bool = False) -> Cancel:
        """Calls `use` with a MAC key and a pad of that size, or with None at the deadline (monotonic seconds).

        `asked_for`: somebody at this KME waits for what goes under it. That may have what is kept back of the stream
        (`leasing.shares`), and so has what comes before the usual.
        """
        priority, weight = self._standing(flow)
        urgent = asked_for or priority > USUAL_PRIORITY
        asked = _Asked(flow, priority, MAC_KEY_BYTES + size_bytes, deadline, use, urgent)
        units = units_for(asked.size_bytes)
        if asked_for and self._may_pass(asked, units):
            return self._leasing.wait(asked.size_bytes, 1, "pad", deadline, use)
        whose, head_start = (flow.brought_by, flow.source, flow.destination), _head_start_units(size_bytes)
        self._queue.add(whose, priority, weight, units, asked, head_start=head_start)
        if self._first is not None and self._queue.put_back():
            self._first = None
            self._leasing.expect_pads(self._queue.size)
            self._give_up()
        self._go_on()
        if len(self._queue) > MAX_WAITING:
            self._make_room()
        return partial(self._cancel, asked)

    def patience_s(self, size_bytes: int) -> float:
        """How long it makes sense that a share of others waits for a pad of that size."""
        short, long = PATIENCE_S
        brings = self._leasing.demand.bringing() * UNIT_BYTES * long
        return long if brings >= MAC_KEY_BYTES + size_bytes else short

    def tick(self) -> None:
        """Gives up on those whose time is over."""
        now = self._clock.monotonic()
        waiting = self._queue.items()
        late = [asked for asked in waiting if asked.deadline <= now]
        if late:
            self._queue.keep([asked for asked in waiting if asked.deadline > now])
            self._leasing.expect_pads(self._queue.size)
            for asked in late:
                asked.use(None)

    def _go_on(self) -> None:
        """One after the other, and not each within the one before: many may get theirs at once."""
        if self._going_on:
            return
        self._going_on = True
        try:
            while self._first is None and self._queue:
                asked = self._first = self._queue.pop()
                came = partial(self._came, asked)
                size, deadline, sparing = asked.size_bytes, asked.deadline, not asked.urgent
                self._give_up = self._leasing.wait(size, 1, "pad", deadline, came, sparing=sparing)
        finally:
            self._going_on = False
            self._leasing.expect_pads(self._queue.size)
        if self._first is None:
            self._queue.rest()

    def _came(self, asked: _Asked, taken: Taken | None) -> None:
        self._first = None
        asked.use(taken)
        self._go_on()

    def _may_pass(self, asked: _Asked, units: int) -> bool:
        """Whether there is enough that those who wait may not have."""
        kept_for_first = self._first is not None and (self._first.urgent or self._first.priority > asked.priority)
        return self._first is not None and not kept_for_first and units <= self._leasing.common_units

    def _make_room(self) -> None:
        waiting = self._queue.latest()
        ((whose, _),) = Counter(_whose(asked) for asked in waiting).most_common(1)
        last = next(asked for asked in waiting if _whose(asked) == whose)
        self._queue.keep([asked for asked in waiting if asked is not last])
        last.use(None)

    def _cancel(self, asked: _Asked) -> None:
        if asked is self._first:
            self._first = None
            self._give_up()
            self._go_on()
        else:
            self._queue.keep([other for other in self._queue.items() if other is not asked])


def _head_start_units(size_bytes: int) -> int:
    return units_for(HEAD_START_BYTES) if size_bytes <= SECRET_HEAD_BYTES + SMALL_BYTES else 0


def _whose(asked: _Asked) -> tuple[KmeId, KmeId]:
    return asked.flow.brought_by, asked.flow.source
