"""A message as it travels, with the session of both ends: nothing of an earlier connection is taken for news."""

import msgspec

from keyhop.core.errors import PeerError
from keyhop.core.streams import Route
from keyhop.network.expanding.messages import SeedMessage
from keyhop.network.hybrid.messages import HybridMessage
from keyhop.network.psk.messages import PskMessage
from keyhop.network.relay.messages import RelayMessage
from keyhop.network.topology.reports import Report
from keyhop.network.wire.links import LinkMessage
from keyhop.network.wire.records import Carried, Carry, Reclaim, Reclaimed
from keyhop.network.wire.session import Hello, Replaced, State
from keyhop.network.wire.streams import (
    Leased,
    LeaseNoted,
    Mark,
    MarkNoted,
    Offer,
    Placed,
    Placing,
    Void,
)
from keyhop.network.wire_types import Number

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
