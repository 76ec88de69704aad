"""What the two ends of a connection say of connections, in frames that begin as no message does."""

import msgspec

from keyhop.core.errors import PeerError
from keyhop.network.wire_types import Id, Message

_OWN = b"\xc1"
"""MessagePack has no use for this byte."""


class Succeeds(Message, frozen=True):
    """The first word on a connection that goes on where another one ends: the one on which the same token is said."""

    token: Id


class Moves(Message, frozen=True):
    """The last word on a connection: what follows is said on the one that has begun with the same token."""

    token: Id


type Word = Succeeds | Moves

_decoder: msgspec.msgpack.Decoder[Word] = msgspec.msgpack.Decoder(Succeeds | Moves)


def spoken(word: Word) -> bytes:
    """The frame, without its length."""
    return _OWN + msgspec.msgpack.encode(word)


def word_of(frame: bytes) -> Word | None:
    """None for a frame that is a message. Raises PeerError."""
    if not frame.startswith(_OWN):
        return None
    try:
        return _decoder.decode(frame[len(_OWN) :])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(f"malformed word: {type(error).__name__}") from None
