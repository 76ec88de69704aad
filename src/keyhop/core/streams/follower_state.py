"""What a follower remembers of a stream beside its bytes."""

import msgspec

from keyhop.core.keys import Stored
from keyhop.core.ledger import Ledger
from keyhop.core.streams.base import ID_KEY_UNITS


class EpochState(Stored):
    """One epoch. Before `confirmed` the owner surely has what we have: it appended that before it placed what follows.

    `history` and `confirmed_history` are the digests of the blocks before `produced` and `confirmed`, in their order.
    """

    produced: int = 0
    taken: int = 0
    id_key: bytes = b""
    history: bytes = b""
    confirmed: int = 0
    confirmed_history: bytes = b""

    def was_taken(self, start: int, end: int) -> bool:
        """Whether the owner has put [start, end) to use, as far as we know."""
        return start >= ID_KEY_UNITS and end <= self.taken


class FollowerState(msgspec.Struct):
    """All epochs, the number of the last delivery window, and where the bytes went."""

    mark: int = 0
    epochs: dict[int, EpochState] = msgspec.field(default_factory=dict)
    ledger: Ledger = msgspec.field(default_factory=Ledger)

    @property
    def epoch(self) -> int:
        """The newest epoch we know of, or 0."""
        return max(self.epochs, default=0)

    @property
    def newest(self) -> EpochState:
        """That one; nothing yet when there is none."""
        return self.epochs.get(self.epoch) or EpochState()
