"""The messages of the relay.

Between neighbours, over the session of their direct streams: Forward, PadPlace. Between any two KMEs: all others. Who
sent a message is known from its session, so no message says it.
"""

from typing import Annotated, Literal

from msgspec import Meta

from keyhop.core.origin import MAX_HOPS
from keyhop.core.priority import MAX_PRIORITY
from keyhop.core.records import RecordSource
from keyhop.network.hybrid.records import Masked
from keyhop.network.wire_types import (
    MAX_RECORDS_PER_BATCH,
    MAX_SEALED_BYTES,
    Id,
    Message,
    Name,
    Number,
    Position,
    Slaves,
    Tag,
    Words,
)

MAX_SHARES = 8
MAX_DATA_BYTES = MAX_SEALED_BYTES
SECRET_HEAD_BYTES = 64
"""What stands in front of the data and travels with it (`proof`)."""

NOT_KNOWN = "it names a KME that is not known here"
NOT_PROVEN = "what came is not what was announced"
"""The reason of a Refused that speaks against the nodes that the parcel came over."""

Strategy = Literal["hop-by-hop", "xor-at-destination", "secret-shared"]

_Share = Annotated[int, Meta(ge=0, lt=MAX_SHARES)]
_Priority = Annotated[int, Meta(ge=0, le=MAX_PRIORITY)]
_Route = Annotated[tuple[Name, ...], Meta(min_length=2, max_length=MAX_HOPS + 1)]
_Size = Annotated[int, Meta(ge=1, le=MAX_DATA_BYTES)]
_Secret = Annotated[bytes, Meta(min_length=SECRET_HEAD_BYTES + 1, max_length=SECRET_HEAD_BYTES + MAX_DATA_BYTES)]


class OfRelay(Message, frozen=True):
    """What all messages of the relay are."""


class BlockPayload(Message, frozen=True):
    """A block for the stream from the source to the destination."""


class RecordsPayload(Message, frozen=True):
    """Records for SAEs of the destination; `ids` are 16 bytes a key, the data is the keys one after the other.

    Another parcel with the same `batch` is the same once more. `made_by` is what made the keys; when it is `combined`,
    the data is parts of keys.
    """

    batch: Id
    made_by: RecordSource
    master: Name
    slaves: Slaves
    ids: Annotated[bytes, Meta(max_length=16 * MAX_RECORDS_PER_BATCH)]
    combined: Masked | None = None


class PskPayload(Message, frozen=True):
    """Fresh bytes for the key that authenticates the two KMEs; `check` is that of the generation that they make."""

    check: Tag


class Announce(OfRelay, frozen=True):
    """From the source to the destination: a parcel of `size` bytes comes along these paths, from the source to the
    destination each; `threshold` shares of it are enough. `key` and `check` are its proof.

    `masked` is empty, or with xor-at-destination the secret under the first pad of its path.
    """

    parcel: Id
    payload: BlockPayload | RecordsPayload | PskPayload
    strategy: Strategy
    paths: Annotated[tuple[_Route, ...], Meta(min_length=1, max_length=MAX_SHARES)]
    threshold: Annotated[int, Meta(ge=1, le=MAX_SHARES)]
    size: _Size
    key: Annotated[bytes, Meta(min_length=32, max_length=32)]
    check: Annotated[bytes, Meta(max_length=16)] = b""
    masked: Annotated[bytes, Meta(max_length=SECRET_HEAD_BYTES + MAX_DATA_BYTES)] = b""


class Stored(OfRelay, frozen=True):
    """From the destination to the source: it has the parcel."""

    parcel: Id


class Refused(OfRelay, frozen=True):
    """From the destination to the source: it will not have the parcel."""

    parcel: Id
    reason: Words


class Stuck(OfRelay, frozen=True):
    """To the source, from whoever on a share's path cannot go on with what came from its neighbour `came_from`."""

    parcel: Id
    share: _Share
    came_from: Name
    reason: Words


class Forward(OfRelay, frozen=True):
    """A share on its way from hop to hop, under a pad of the sender's direct stream.

    From unit `pad` of the epoch come first the MAC key (32 bytes), then the pad.
    """

    parcel: Id
    share: _Share
    route: _Route
    priority: _Priority
    epoch: Number
    pad: Position
    sealed: _Secret
    tag: Annotated[bytes, Meta(max_length=16)] = b""


class Request(OfRelay, frozen=True):
    """From the source to each node inside the path of an xor-at-destination: send the XOR of your two pads, which are
    as long as the secret of `size` bytes of data, to the destination."""

    parcel: Id
    route: _Route
    priority: _Priority
    size: _Size


class Vouch(OfRelay, frozen=True):
    """From the source to a node inside a path: what comes from your neighbour `came_from` for that destination, with
    that priority, is mine."""

    came_from: Name
    destination: Name
    priority: _Priority


class PadPlace(OfRelay, frozen=True):
    """To the next node of that path: from unit `pad` of the sender's direct stream come the MAC key of this message (32
    bytes), then the pad of both, of `size` bytes."""

    parcel: Id
    source: Name
    size: Annotated[int, Meta(gt=SECRET_HEAD_BYTES, le=SECRET_HEAD_BYTES + MAX_DATA_BYTES)]
    epoch: Number
    pad: Position
    tag: Annotated[bytes, Meta(max_length=16)] = b""


class Contribution(OfRelay, frozen=True):
    """To the destination: the XOR of the sender's two pads."""

    parcel: Id
    source: Name
    pads: _Secret


type RelayMessage = Announce | Stored | Refused | Stuck | Forward | Request | Vouch | PadPlace | Contribution
