"""The messages between two nodes: MessagePack in length-prefixed frames.

    session    how a session begins
    streams    what is placed in streams, taken of them and given out
    records    records that are carried to the peer, and keys that are taken back
    links      what the adapters of links say to each other
    envelope   a message with the session of both ends; `encode` and `decode`
    frames     messages one after the other in a stream of bytes

Relay, topology and what else has a package of its own has its messages there; their fields' bounds are in `wire_types`.
Whatever is not exactly one of these messages is a PeerError, which closes the connection.
"""

from keyhop.network.wire.envelope import Body, Envelope, decode, encode
from keyhop.network.wire.frames import LENGTH_BYTES, MAX_FRAME_BYTES, Frames, frame
from keyhop.network.wire.links import MAX_LINK_MESSAGE_BYTES, LinkMessage
from keyhop.network.wire.records import Carried, Carry, Reclaim, Reclaimed
from keyhop.network.wire.session import MAX_AHEAD, FollowerMarks, Hello, OwnerMarks, Replaced, State
from keyhop.network.wire.streams import (
    Leased,
    LeaseNoted,
    Mark,
    MarkNoted,
    Offer,
    Part,
    Placed,
    Placing,
    Void,
)

__all__ = [
    "LENGTH_BYTES",
    "MAX_AHEAD",
    "MAX_FRAME_BYTES",
    "MAX_LINK_MESSAGE_BYTES",
    "Body",
    "Carried",
    "Carry",
    "Envelope",
    "FollowerMarks",
    "Frames",
    "Hello",
    "LeaseNoted",
    "Leased",
    "LinkMessage",
    "Mark",
    "MarkNoted",
    "Offer",
    "OwnerMarks",
    "Part",
    "Placed",
    "Placing",
    "Reclaim",
    "Reclaimed",
    "Replaced",
    "State",
    "Void",
    "decode",
    "encode",
    "frame",
]
