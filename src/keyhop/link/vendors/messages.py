"""What both ends say to each other to agree on blocks. Names only: no message holds key bytes.

    initiator                                follower
    Hello    run, last, greeting        →
                                        ←    Welcome   its run and last
    Offer    names and sizes of pieces  →
                                        ←    Held      which of them it has
    Seal     sequence, names, tag       →
                                        ←    Sealed    it has the block; or Refused

Offer and Seal are repeated until they are answered, Hello always, and answering twice changes nothing. Each message
carries the runs of both ends, random per start, so that nothing of an earlier life counts; to a message with a run
that it does not know the follower answers Stranger, and the initiator greets again. Told goes either way at any time.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from keyhop.core.errors import PeerError
from keyhop.link.vendors.device import MAX_GREETING_BYTES, MAX_NAME_BYTES, MAX_PIECE_BYTES

RUN_BYTES = 8
TAG_BYTES = 16
MAX_NAMES = 3500
"""Of one message, so that the longest names fit into adapter.MAX_MESSAGE_BYTES."""

MAX_SEQUENCE = 1 << 62
MAX_TOLD_LENGTH = 200

Run = Annotated[bytes, Meta(min_length=RUN_BYTES, max_length=RUN_BYTES)]
Sequence = Annotated[int, Meta(ge=0, lt=MAX_SEQUENCE)]
Last = Annotated[int, Meta(ge=-1, lt=MAX_SEQUENCE)]
Round = Annotated[int, Meta(ge=1, lt=1 << 62)]
Name = Annotated[bytes, Meta(min_length=1, max_length=MAX_NAME_BYTES)]
Names = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MAX_NAMES)]
Size = Annotated[int, Meta(ge=1, le=MAX_PIECE_BYTES)]
Kind = Annotated[str, Meta(max_length=16)]


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    initiator: Run


class Hello(_Message, frozen=True, tag=1):
    """The initiator is here; `last` is the highest sequence that it knows of."""

    kind: Kind
    last: Last
    greeting: Annotated[bytes, Meta(max_length=MAX_GREETING_BYTES)]


class Welcome(_Message, frozen=True, tag=2):
    """The follower is here."""

    follower: Run
    kind: Kind
    last: Last


class Offer(_Message, frozen=True, tag=3):
    """Pieces that the initiator has; `sizes` in bytes."""

    follower: Run
    round: Round
    names: Names
    sizes: Annotated[tuple[Size, ...], Meta(max_length=MAX_NAMES)]


class Held(_Message, frozen=True, tag=4):
    """Which pieces of that offer the follower has, by index, rising."""

    follower: Run
    round: Round
    indexes: Annotated[tuple[Annotated[int, Meta(ge=0, lt=MAX_NAMES)], ...], Meta(max_length=MAX_NAMES)]


class Seal(_Message, frozen=True, tag=5):
    """These pieces in this order are the block of that sequence."""

    follower: Run
    sequence: Sequence
    names: Names
    tag: Annotated[bytes, Meta(min_length=TAG_BYTES, max_length=TAG_BYTES)]


class Sealed(_Message, frozen=True, tag=6):
    """The follower delivers that block."""

    follower: Run
    sequence: Sequence


class Refused(_Message, frozen=True, tag=7):
    """The follower cannot make that block; its pieces are gone."""

    follower: Run
    sequence: Sequence
    differ: bool


class Stranger(_Message, frozen=True, tag=8):
    """The follower does not know that run of the initiator, or was addressed by a run of its own that is over."""


class Told(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=9):
    """Why that end cannot go on, for people; empty when it can. It waits for something, unless it is a fault."""

    reason: Annotated[str, Meta(max_length=MAX_TOLD_LENGTH)]
    fault: bool


type Message = Hello | Welcome | Offer | Held | Seal | Sealed | Refused | Stranger

_decoder: msgspec.msgpack.Decoder[Message | Told] = msgspec.msgpack.Decoder(
    Hello | Welcome | Offer | Held | Seal | Sealed | Refused | Stranger | Told
)
_encoder = msgspec.msgpack.Encoder()


def encode(message: Message | Told) -> bytes:
    """As it goes over the link's channel."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message | Told:
    """Raises PeerError for what no follower or initiator sends."""
    try:
        message = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # msgspec.ValidationError is one
        raise PeerError("not a message of a vendor link") from None
    match message:
        case Offer(names=names, sizes=sizes) if len(names) != len(sizes) or len(set(names)) != len(names):
            raise PeerError("an offer whose names and sizes do not fit")
        case Seal(names=names) if len(set(names)) != len(names):
            raise PeerError("a block that has a piece twice")
        case Held(indexes=indexes) if list(indexes) != sorted(set(indexes)):
            raise PeerError("held pieces that are not in order")
    return message
