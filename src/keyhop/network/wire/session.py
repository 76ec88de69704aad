"""How a session of a pair begins: who is there, and what each end remembers of both streams."""

from typing import Annotated

import msgspec
from msgspec import Meta

from keyhop.network.wire_types import Message, Number, Position

MAX_AHEAD = 1 << 32
"""An epoch or mark further ahead of ours is a lie: believed, it would lead to numbers that no message can say."""

_History = Annotated[bytes, Meta(max_length=16)]


class OwnerMarks(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the owner of a stream remembers of it."""

    epoch: Number
    produced: Position
    taken: Position
    mark_seen: Number
    history: _History = b""


class FollowerMarks(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the follower of a stream remembers of it."""

    epoch: Number
    produced: Position
    taken: Position
    mark: Number
    history: _History = b""
    confirmed: Position = 0
    confirmed_history: _History = b""


class Hello(Message, frozen=True):
    """Opens a session: asks the peer for its State. Asked again until it comes.

    `process` is a number that the sender drew at its start.
    """

    process: Number


class Replaced(Message, frozen=True):
    """The last word on a connection: another one, with the receiver's own certificate, has taken its place."""


class State(Message, frozen=True):
    """What the sender remembers of both streams of the pair: as owner of one, as follower of the other."""

    owned: OwnerMarks
    followed: FollowerMarks
