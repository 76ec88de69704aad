"""Bytes of a direct stream that seal one message: first a one-time MAC key, then a one-time pad.

The tag binds the whole message and the stream, so its direction too. The receiver checks it and erases the bytes in one
step; a message that fails the check erases nothing: it may name bytes that belong to somebody's key.
"""

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.key_id import Located
from keyhop.core.streams import FollowedStream, OwnedStream, Place, StreamRef, Taken
from keyhop.network.relay.messages import Forward, PadPlace
from keyhop.network.wire import Carry

MAC_KEY_BYTES = 32


def pad_of(taken: Taken) -> bytes:
    """What follows the MAC key."""
    return taken.data[MAC_KEY_BYTES:]


def tagged[M: (Carry, Forward, PadPlace)](message: M, taken: Taken, stream: OwnedStream) -> M:
    """The message with the place of its pad, and its tag. The bytes are used for this message only."""
    stream.ledger.rebook("pad", "mac", MAC_KEY_BYTES)
    message = msgspec.structs.replace(message, epoch=taken.epoch, pad=taken.position)
    return msgspec.structs.replace(message, tag=tag_of(message, taken.data[:MAC_KEY_BYTES], stream.ref))


def tag_of(message: Carry | Forward | PadPlace, mac_key: bytes, ref: StreamRef) -> bytes:
    """The message's tag under a MAC key that is used for it only."""
    return Poly1305.generate_tag(mac_key, authenticated(message, ref))


def is_tagged(message: Carry | Forward | PadPlace, mac_key: bytes, ref: StreamRef) -> bool:
    """Whether the message's tag is the one of this MAC key."""
    try:
        Poly1305.verify_tag(mac_key, authenticated(message, ref), message.tag)
    except InvalidSignature:
        return False
    return True


def place_of(message: Carry | Forward | PadPlace, size_bytes: int) -> Place:
    """Where its MAC key and its pad of `size_bytes` are."""
    return Place(message.epoch, Located(message.pad, MAC_KEY_BYTES + size_bytes))


def claimed(message: Carry | Forward | PadPlace, size_bytes: int, stream: FollowedStream) -> bytes | None:
    """The message's pad of `size_bytes`, erased here with the journal's next commit: use it only after that.

    None, and nothing erased, when the bytes are not there, the tag is not theirs, or the sender took another size: what
    the source of a parcel says of its size may be a lie, and what follows a pad is somebody's key.
    """
    if isinstance(message, PadPlace) and message.size != size_bytes:
        return None
    place = place_of(message, size_bytes)
    if not stream.has(place):
        return None
    if not is_tagged(message, stream.peek(place)[:MAC_KEY_BYTES], stream.ref):
        return None
    secret, _ = stream.consume(place, "pad")
    stream.ledger.rebook("pad", "mac", MAC_KEY_BYTES)
    return secret[MAC_KEY_BYTES:]


def authenticated(message: Carry | Forward | PadPlace, ref: StreamRef) -> bytes:
    """Everything that the tag binds: the stream, and the whole message but the tag."""
    return msgspec.msgpack.encode(("keyhop sealed v1", *ref, msgspec.structs.replace(message, tag=b"")))
