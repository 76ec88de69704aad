"""What the two ends of a pair say of its streams: what is placed in them, taken of them and given out."""

from typing import Annotated

import msgspec
from msgspec import Meta

from keyhop.network.wire_types import Message, Name, Number, Position, Tag


class Offer(Message, frozen=True):
    """This link block is yours to own (sent by the node with the lower name, which decides)."""

    link: Name
    sequence: Number


class Part(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A link block, and its authentication tag under the block's own first 32 bytes."""

    link: Name
    sequence: Number
    tag: Tag


class Placing(Message, frozen=True):
    """The owner appends these link blocks to its stream; the follower stores them first."""

    place: Number
    epoch: Number
    start: Position
    parts: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=64)]


class Placed(Message, frozen=True):
    """The follower holds them durably, or refuses those parts (their indices) and has stored none."""

    place: Number
    refused: Annotated[tuple[Number, ...], Meta(max_length=64)] = ()


class Leased(Message, frozen=True):
    """The owner has taken everything of the epoch below this."""

    epoch: Number
    taken: Position


class LeaseNoted(Message, frozen=True):
    """The follower knows that durably."""

    epoch: Number
    taken: Position


class Void(Message, frozen=True):
    """The owner will never use these units, which it had taken."""

    epoch: Number
    start: Position
    end: Position


class Mark(Message, frozen=True):
    """The follower opens its delivery window of this number."""

    mark: Number


class MarkNoted(Message, frozen=True):
    """The owner knows that durably."""

    mark: Number
