"""What the two ends of a refreshed key say to each other, in the session of the pair that gives the bytes."""

from keyhop.network.wire_types import Message, Number, Position, Tag


class OfPsk(Message, frozen=True):
    """What all of these messages are."""


class PskProposed(OfPsk, frozen=True):
    """The sender has made the next generation from the 32 bytes at a place of its stream.

    `check` comes of them and of the generation before, and tells nothing of the new one.
    """

    generation: Number
    epoch: Number
    position: Position
    check: Tag


class PskStored(OfPsk, frozen=True):
    """The sender has made the same, and holds it durably."""

    generation: Number


class PskRefused(OfPsk, frozen=True):
    """The sender does not have the bytes at that place."""

    epoch: Number
    position: Position


type PskMessage = PskProposed | PskStored | PskRefused
