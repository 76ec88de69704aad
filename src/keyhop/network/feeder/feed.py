"""One relayed stream that is fed: what it has, what is under way into it, and how much of that there may be.

It has a window of a few parcels at most: one more for each that arrives, half of them after a failure. It is the same
with their sizes: where many wait for pads of a link a large block waits longer than anybody does, and the pads of the
links before it are used up in vain.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from keyhop.core.units import UNIT_BYTES
from keyhop.network.feeder.water import LEAST_BLOCK_BYTES, MOST_BLOCK_BYTES, Marks, block_bytes, marks
from keyhop.network.peer import Peer
from keyhop.network.relay.parcels import Plan, Withdraw

MOST_UNDER_WAY = 4
GROWTH = 1 / 16
"""By this part the blocks of a stream grow with each that arrives; after one that does not they are half as large."""
ASKED_S = 30.0
"""How long a stream is fed with the priority of whoever found it empty."""
PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0)
"""After each failure in a row."""


@dataclass(slots=True, eq=False)
class UnderWay:
    """A block, and how it travels."""

    size_bytes: int
    way: Plan
    priority: int
    withdraw: Withdraw = lambda: None


@dataclass(slots=True)
class Feed:
    """`rising` while it is on its way to its high mark, `trouble` is why the last parcel did not arrive or leave.

    `stuck_bytes` is how large the last one was, if there was no way for it.
    """

    peer: Peer
    rising: bool = False
    trouble: str | None = None
    stuck_bytes: int | None = None
    parcels: list[UnderWay] = field(default_factory=list)
    _window: int = 1
    _most_block_bytes: int = MOST_BLOCK_BYTES
    _asked_at: dict[int, float] = field(default_factory=dict)
    """When somebody of a priority found it empty last."""
    _failures: int = 0
    _not_before: float = 0.0

    @property
    def demand(self) -> float:
        """Bytes of key that SAEs ask for in a second, whichever stream they get them from."""
        return sum(pair.meter.demand for pair in self.peer.pairs)

    @property
    def stock(self) -> int:
        """Bytes that it has, or will have."""
        pair = self.peer.relayed
        there = (pair.owned.stock_units + pair.filling.waiting_units) * UNIT_BYTES
        return there + sum(parcel.size_bytes for parcel in self.parcels)

    @property
    def gets_some(self) -> bool:
        """Whether something is on its way into it, or about to be."""
        return self.rising or bool(self.parcels) or self.peer.relayed.filling.waiting_units > 0

    def marks(self, least_bytes: int, most_bytes: int) -> Marks:
        """Between which it is kept."""
        waiting = self.peer.relayed.leasing.waiting_units * UNIT_BYTES
        return marks(self.demand, waiting, least_bytes, most_bytes)

    def asked(self, priority: int, now: float) -> None:
        """Somebody of that priority found it empty."""
        self._asked_at[priority] = now

    def priority(self, usual: int, now: float) -> int:
        """The highest of those who found it empty of late; less than usual for one of which nobody asks anything."""
        asked = [priority for priority, at in self._asked_at.items() if at >= now - ASKED_S]
        return max(asked) if asked else usual if self.demand else max(usual - 1, 0)

    def may_send(self, priority: int, now: float) -> bool:
        """Whether another block may leave; those of a lower priority, which may wait long, do not count against it."""
        window = sum(parcel.priority >= priority for parcel in self.parcels)
        return self.rising and window < self._window and now >= self._not_before

    def next_bytes(self, water: Marks) -> int:
        """How large that is."""
        return min(block_bytes(self.demand, water.high - self.stock, water.low), self._most_block_bytes)

    def arrived(self) -> None:
        """A block has."""
        self._failures, self._not_before, self.trouble, self.stuck_bytes = 0, 0.0, None, None
        self._window = min(self._window + 1, MOST_UNDER_WAY)
        self._most_block_bytes = min(int(self._most_block_bytes * (1 + GROWTH)), MOST_BLOCK_BYTES)

    def failed(self, reason: str, now: float, size_bytes: int | None = None) -> None:
        """`size_bytes` are those of a block that might have arrived, had it been smaller."""
        self.trouble, self.stuck_bytes = reason, None
        if size_bytes is not None:
            self._most_block_bytes = max(size_bytes // 2, LEAST_BLOCK_BYTES)
        self._window = max(self._window // 2, 1)
        self._not_before = now + PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._failures += 1

    def give_up(self, broken: Callable[[Plan], bool]) -> bool:
        """What is under way like that is not waited for; whether there was any."""
        gone = [parcel for parcel in self.parcels if broken(parcel.way)]
        self.parcels = [parcel for parcel in self.parcels if parcel not in gone]
        for parcel in gone:
            parcel.withdraw()
        return bool(gone)
