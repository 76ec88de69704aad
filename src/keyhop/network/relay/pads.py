"""Pads for the relay, from the direct stream to one neighbour: the one place where the relay takes bytes of it.

The next one waits at the leasing. As long as that one leaves what is kept back of the stream (`leasing.shares`), those
that somebody at this KME waits for pass it: they have that as soon as it is enough, in their turns. Their flows pay for
it, so what is kept for all pads that wait goes to the others meanwhile.
"""

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
    asked_for: bool
    place: int = -1
    """In the queue."""
    passes: bool = False
    """It does not wait for its turn: there is enough that the next one leaves."""
    give_up: Cancel = lambda: None
    """Once it waits at the leasing."""

    @property
    def units(self) -> int:
        return units_for(self.size_bytes)

    @property
    def is_sparing(self) -> bool:
        """Whether it leaves what is kept back."""
        return not self.asked_for and self.priority <= USUAL_PRIORITY


class Pads:
    """Asks the leasing for one pad at a time, so that those who wait keep their turns, and may be overtaken."""

    def __init__(self, leasing: Leasing, clock: Clock, standing: StandingOf) -> None:
        self._leasing = leasing
        self._clock = clock
        self._standing = standing
        self._queue: FairQueue[tuple[KmeId, KmeId, KmeId], _Asked] = FairQueue()
        self._first: _Asked | None = None
        """The one whose turn it is."""
        self._passing_units = 0
        self._going_on = False
        leasing.when_served(self._go_on)

    def take(self, flow: Flow, size_bytes: int, deadline: float, use: Use, *, asked_for: bool = False) -> Cancel:
        """Calls `use` with a MAC key and a pad of that size, or with None at the deadline (monotonic seconds).

        `asked_for`: somebody at this KME waits for what goes under it. That may have what is kept back of the stream
        (`leasing.shares`), and so has what comes before the usual.
        """
        priority, weight = self._standing(flow)
        asked = _Asked(flow, priority, MAC_KEY_BYTES + size_bytes, deadline, use, asked_for)
        whose, head_start = (flow.brought_by, flow.source, flow.destination), _head_start_units(size_bytes)
        places = self._queue.add
        asked.place = places(whose, priority, weight, asked.units, asked, head_start=head_start, passes=asked_for)
        first = self._first
        if first is not None and self._queue.put_back():
            self._first = None
            self._leasing.expect_pads(self._queue.size)
            first.give_up()
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
        late = [asked for asked in self._queue.items() if asked.deadline <= now]
        if late:
            for asked in late:
                self._drop(asked)
            self._leasing.expect_pads(self._queue.size)
            for asked in late:
                asked.use(None)

    def _go_on(self) -> None:
        """One after the other, and not each within the one before: many may get theirs at once."""
        if self._going_on:
            return
        self._going_on = True
        try:
            while self._next_waits() or self._next_passes():
                pass
        finally:
            self._going_on = False
            self._leasing.expect_pads(self._queue.size)
        if self._first is None:
            self._queue.rest()

    def _next_waits(self) -> bool:
        if self._first is not None or not self._queue:
            return False
        asked = self._first = self._queue.pop()
        self._wait(asked, self._came)
        return True

    def _next_passes(self) -> bool:
        if self._first is None or not self._first.is_sparing:
            return False
        asked = self._queue.first_passing()
        if asked is None or self._passing_units + asked.units > self._leasing.common_units:
            return False
        self._drop(asked)
        asked.passes = True
        self._passing_units += asked.units
        self._wait(asked, self._passed)
        return True

    def _wait(self, asked: _Asked, came: Callable[[_Asked, Taken | None], None]) -> None:
        size, sparing = asked.size_bytes, asked.is_sparing
        asked.give_up = self._leasing.wait(size, 1, "pad", asked.deadline, partial(came, asked), sparing=sparing)

    def _came(self, asked: _Asked, taken: Taken | None) -> None:
        self._first = None
        asked.use(taken)
        self._go_on()

    def _passed(self, asked: _Asked, taken: Taken | None) -> None:
        self._passes_no_more(asked)
        asked.use(taken)

    def _passes_no_more(self, asked: _Asked) -> None:
        asked.passes = False
        self._passing_units -= asked.units

    def _make_room(self) -> None:
        waiting = self._queue.latest()
        ((whose, _),) = Counter(_whose(asked) for asked in waiting).most_common(1)
        last = next(asked for asked in waiting if _whose(asked) == whose)
        self._drop(last)
        last.use(None)

    def _cancel(self, asked: _Asked) -> None:
        if asked is self._first:
            self._first = None
            asked.give_up()
            self._go_on()
        elif asked.passes:
            self._passes_no_more(asked)
            asked.give_up()
        else:
            self._drop(asked)

    def _drop(self, asked: _Asked) -> None:
        self._queue.remove(asked.place)


def _head_start_units(size_bytes: int) -> int:
    return units_for(HEAD_START_BYTES) if size_bytes <= SECRET_HEAD_BYTES + SMALL_BYTES else 0


def _whose(asked: _Asked) -> tuple[KmeId, KmeId]:
    return asked.flow.brought_by, asked.flow.source
