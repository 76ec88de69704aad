"""How full the two streams between this node and a peer are, against what they are to hold. All in units."""

from dataclasses import dataclass

from keyhop.core.streams import FollowedStream, OwnedStream

MAX_PLACED_UNITS = 1 << 15
"""A placement takes as many blocks as come to this (256 KiB), or one: nobody is to wait long for its commit."""
ENOUGH_STOCK = 8
"""With this part of the stock available, or with as much as a placement, blocks may wait."""


@dataclass(slots=True)
class Levels:
    """The two streams, and what each is to hold."""

    owned: OwnedStream
    followed: FollowedStream
    stock_units: int

    @property
    def ours(self) -> int:
        """What this end may still take, or has leased."""
        return self.owned.produced - self.owned.taken

    @property
    def theirs(self) -> int:
        """What the other end may still take."""
        return self.followed.untaken_units

    @property
    def we_need_more(self) -> bool:
        """Whether what comes is needed soon."""
        return self.owned.available_units < min(self.stock_units // ENOUGH_STOCK, MAX_PLACED_UNITS)

    @property
    def we_heap_up(self) -> bool:
        """Whether this end has far more than it asks for."""
        return self.owned.available_units >= 2 * self.stock_units

    @property
    def they_heap_up(self) -> bool:
        """Whether the other end has: it takes nothing, and only fills our disk."""
        return self.followed.untaken_units >= 2 * self.stock_units
