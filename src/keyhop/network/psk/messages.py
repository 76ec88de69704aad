"""What the two ends of a refreshed key say to each other, in the session of the pair that gives the bytes."""

import msgspec

from keyhop.network.wire_types import Message, Number, Position, Tag


class OfPsk(Message, frozen=True):
    """What all of these messages are."""


class InStream(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """32 bytes of the sender's stream."""

    epoch: Number
    position: Position


class PskProposed(OfPsk, frozen=True):
    """The sender has made the next generation from 32 bytes: of its stream, or, without a place, of a parcel that has
    brought them under the same check.

    `check` comes of them and of the generation before, and tells nothing of the new one.
    """

    generation: Number
    check: Tag
    place: InStream | None = None


class PskStored(OfPsk, frozen=True):
    """The sender has made the same as the one with this check, and holds it durably."""

    check: Tag


class PskRefused(OfPsk, frozen=True):
    """The sender does not have the bytes for the generation with this check."""

    check: Tag


type PskMessage = PskProposed | PskStored | PskRefused
