"""What the two ends of a stream say of a seed."""

from keyhop.network.wire_types import Message, Number, Position


class OfSeed(Message, frozen=True):
    """What all of these messages are."""


class SeedTaken(OfSeed, frozen=True):
    """The owner has taken the 32 bytes at this place of its stream as a seed."""

    epoch: Number
    position: Position


class SeedHeld(OfSeed, frozen=True):
    """The follower holds them durably, or has no such bytes."""

    epoch: Number
    position: Position
    held: bool


type SeedMessage = SeedTaken | SeedHeld
