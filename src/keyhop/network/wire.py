"""The messages between two nodes: MessagePack in length-prefixed frames.

Each carries the session of both ends, so that nothing of an earlier connection is taken for news. Whatever is not
exactly a message of this page is a PeerError, which closes the connection.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from keyhop.core.errors import PeerError
from keyhop.core.records import RecordSource
from keyhop.core.streams import Route
from keyhop.network.expanding.messages import SeedMessage
from keyhop.network.hybrid.messages import HybridMessage
from keyhop.network.psk.messages import PskMessage
from keyhop.network.relay.messages import RelayMessage
from keyhop.network.topology.reports import Report
from keyhop.network.wire_types import (
    MAX_RECORDS_PER_BATCH,
    MAX_SEALED_BYTES,
    Id,
    Message,
    Name,
    Number,
    Position,
    Tag,
)

MAX_FRAME_BYTES = 4 << 20
LENGTH_BYTES = 4
MAX_LINK_MESSAGE_BYTES = 1 << 20
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


class Carry(Message, frozen=True):
    """Records for SAEs of the receiver: key bytes under a pad, all of it under a one-time MAC.

    From unit `pad` of the sender's stream come first the MAC key (32 bytes), then the pad; with a `number`, both are
    expanded by that number from the seed that was there. `ids` are 16 bytes a key and `sealed` is the keys one after
    the other. `made_by` is what made them.
    """

    batch: Id
    made_by: RecordSource
    epoch: Number
    pad: Position
    master: Name
    slaves: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=256)]
    ids: Annotated[bytes, Meta(max_length=16 * MAX_RECORDS_PER_BATCH)]
    sealed: Annotated[bytes, Meta(max_length=MAX_SEALED_BYTES)]
    tag: Annotated[bytes, Meta(max_length=16)] = b""
    number: Number = 0


class Carried(Message, frozen=True):
    """The receiver holds the batch durably, or has refused it."""

    batch: Id
    stored: bool


class Recall(Message, frozen=True):
    """Another target failed: forget these records, which nobody was given."""

    ids: Annotated[bytes, Meta(max_length=16 * MAX_RECORDS_PER_BATCH)]


class Reclaim(Message, frozen=True):
    """Keys are taken back, of streams and records, for these slaves at the receiver: which had none of them been given?

    `call` names the question, which may come again. With `spare_fetched`, what one of them was given stays for others.
    """

    call: Id
    master: Name
    slaves: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=256)]
    ids: Annotated[bytes, Meta(max_length=16 * MAX_RECORDS_PER_BATCH)]
    spare_fetched: bool


class Reclaimed(Message, frozen=True):
    """These keys none of the slaves was given, and none will be."""

    call: Id
    ids: Annotated[bytes, Meta(max_length=16 * MAX_RECORDS_PER_BATCH)]


class LinkMessage(Message, frozen=True):
    """From the adapter of a link to the one at the other end."""

    link: Name
    data: Annotated[bytes, Meta(max_length=MAX_LINK_MESSAGE_BYTES)]


type Body = (
    Hello
    | Replaced
    | State
    | Offer
    | Placing
    | Placed
    | Leased
    | LeaseNoted
    | Void
    | Mark
    | MarkNoted
    | Carry
    | Carried
    | Recall
    | Reclaim
    | Reclaimed
    | LinkMessage
    | RelayMessage
    | PskMessage
    | HybridMessage
    | SeedMessage
    | Report
)


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`route` says which of the two pairs of streams between the nodes it is about, each with sessions of its own.

    `receiver` is the receiver's session as far as the sender knows it; 0 when it does not.
    """

    route: Route
    sender: Number
    receiver: Number
    body: Body


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    """The envelope without its length prefix."""
    return _encoder.encode(envelope)


def decode(data: bytes) -> Envelope:
    """Raises PeerError."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(f"malformed message: {type(error).__name__}") from None


class Frames:
    """Cuts a byte stream into frames. Raises PeerError for a frame over the limit, before it is read."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now."""
        self._buffer += data
        frames: list[bytes] = []
        at = 0
        while len(self._buffer) - at >= LENGTH_BYTES:
            length = int.from_bytes(self._buffer[at : at + LENGTH_BYTES])
            if length > MAX_FRAME_BYTES:
                raise PeerError(f"a frame of {length} bytes is over the limit of {MAX_FRAME_BYTES}")
            if len(self._buffer) - at - LENGTH_BYTES < length:
                break
            at += LENGTH_BYTES
            frames.append(bytes(self._buffer[at : at + length]))
            at += length
        del self._buffer[:at]
        return frames


def frame(data: bytes) -> bytes:
    """A message with its length in front."""
    return len(data).to_bytes(LENGTH_BYTES) + data
