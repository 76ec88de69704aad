"""The owner's side: it names blocks, and appends those that the follower has durably.

One placement is under way at a time. It costs both ends a commit, so while there is enough in stock blocks wait for
others to be placed with them, until the next tick at the latest.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from keyhop.core.clock import Clock
from keyhop.network.filling.blocks import BlockName, PendingBlock
from keyhop.network.filling.levels import MAX_PLACED_UNITS, Levels
from keyhop.network.filling.waiting import Waiting
from keyhop.network.wire import Body, Part, Placed, Placing

MAX_PARTS = 16
RESEND_S = 1.0
MISMATCH_S = 5.0
MISMATCH_REFUSALS = 3


class Placer:
    """Places blocks in the stream that this end owns."""

    def __init__(
        self,
        levels: Levels,
        waiting: Waiting,
        clock: Clock,
        send: Callable[[Body], None],
        on_appended: Callable[[], None],
        on_epoch_full: Callable[[], None],
    ) -> None:
        self._owned = levels.owned
        self._levels = levels
        self._waiting = waiting
        self._clock = clock
        self._send = send
        self._on_appended = on_appended
        self._on_epoch_full = on_epoch_full
        self._synchronised = False
        self._placing: Placing | None = None
        self._in_flight: dict[BlockName, PendingBlock] = {}
        self._sent_at = 0.0
        self._place = 0
        self._refusals = 0
        self._agreed_at = clock.monotonic()

    @property
    def mismatch(self) -> bool:
        """Whether what this end places finds no equal at the other: their links are not set up alike."""
        silent = self._placing is not None and self._clock.monotonic() - self._agreed_at > MISMATCH_S
        return silent or self._refusals >= MISMATCH_REFUSALS

    def place_soon(self) -> None:
        """Places what there is, unless it may wait for more."""
        ours = self._waiting.ours
        if len(ours) > MAX_PARTS or ours.units > MAX_PLACED_UNITS or self._levels.we_need_more:
            self._place_next()

    def placed(self, message: Placed) -> None:
        """The follower's answer."""
        placing = self._placing
        if placing is None or message.place != placing.place:
            return
        self._placing = None
        blocks, self._in_flight = self._in_flight, {}
        self._agreed_at = self._clock.monotonic()
        self._refusals = self._refusals + 1 if message.refused else 0
        if message.refused:
            names = list(blocks)
            for index in message.refused:
                if index < len(names):
                    self._waiting.discard(names[index])
        else:
            for name, pending in blocks.items():
                self._owned.append(pending.block(name))
                self._waiting.consumed(name)
            self._on_appended()
        self.place_soon()

    def synchronised(self) -> None:
        """A session begins: what was under way is forgotten."""
        self._synchronised = True
        self._placing = None
        self._in_flight = {}
        self._place = 0
        self._place_next()

    def interrupted(self) -> None:
        """The session is over."""
        self._synchronised = False

    def tick(self) -> None:
        """Asks again what was not answered."""
        if not self._synchronised:
            return
        now = self._clock.monotonic()
        if self._placing and self._sent_at < now - RESEND_S:
            self._sent_at = now
            self._send(self._placing)
        self._place_next()

    def _next_parts(self) -> Iterator[BlockName]:
        units = 0
        for name in islice(self._waiting.ours, MAX_PARTS):
            units += self._waiting.ours.units_of(name)
            if units > MAX_PLACED_UNITS and units > self._waiting.ours.units_of(name):
                return
            yield name

    def _place_next(self) -> None:
        if not self._synchronised or self._placing or not self._waiting.ours:
            return
        if self._owned.full:
            self._on_epoch_full()
        self._in_flight = {name: self._waiting.blocks[name] for name in self._next_parts()}
        parts = tuple(Part(*name, pending.tag(name)) for name, pending in self._in_flight.items())
        self._place += 1
        self._placing = Placing(self._place, self._owned.epoch, self._owned.produced, parts)
        self._sent_at = self._agreed_at = self._clock.monotonic()
        self._send(self._placing)
