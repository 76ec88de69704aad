"""What the two ends of a BB84 link say to each other: MessagePack, tagged by type.

`Hello` and `Bye` stand alone. Everything else is a body of a run, cut into numbered pieces that fit into a message of
the link's channel. Whatever is not exactly of this page is a PeerError. Fields hold numbers of bounded size, and bytes
whose meaning another module checks before anything is used.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from keyhop.core.errors import PeerError

NONCE_BYTES = 16
RUN_BYTES = 16
MAX_SETTINGS = 8192
MAX_PIECE_BYTES = 900 << 10
"""A message of the link's channel holds a piece and its header."""

MAX_BODY_BYTES = 32 << 20
"""The longest body is the seed of a round with as many bits as can be configured: 10 MB."""

_MAX_NAMES = 1024
_MAX_FRAMES = 1 << 16

_Nonce = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
_Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_Bits = Annotated[int, Meta(ge=0, le=1 << 40)]
_Data = Annotated[bytes, Meta(max_length=MAX_BODY_BYTES)]
_Name = Annotated[bytes, Meta(min_length=12, max_length=12)]
_Sixteen = Annotated[bytes, Meta(min_length=16, max_length=16)]
_Text = Annotated[str, Meta(max_length=512)]
_PerIntensity = Annotated[tuple[_Bits, ...], Meta(min_length=2, max_length=3)]


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    pass


class Hello(_Message, frozen=True):
    """Who is there. `echo` is the nonce that the sender last heard of the far end, or empty; `names` are those of its
    authentication keys; `last_sequence` is -1 before the first block."""

    nonce: _Nonce
    echo: Annotated[bytes, Meta(max_length=NONCE_BYTES)]
    role: Annotated[str, Meta(max_length=16)]
    settings: Annotated[str, Meta(max_length=MAX_SETTINGS)]
    names: Annotated[tuple[_Name, ...], Meta(max_length=_MAX_NAMES)]
    last_sequence: Annotated[int, Meta(ge=-1, le=(1 << 63) - 1)]


class Bye(_Message, frozen=True):
    """The end that said Hello with this nonce was stopped."""

    nonce: _Nonce


class Piece(_Message, frozen=True):
    """Part of a body of a run; `index` counts the pieces of one direction without gaps; `more` of this body follow."""

    run: _Sixteen
    index: _Number
    more: bool
    data: Annotated[bytes, Meta(max_length=MAX_PIECE_BYTES)]


class Alive(_Message, frozen=True):
    """Nothing else is to say; the transmitter answers with the same. `dark`: hardly anything is detected any more."""

    dark: bool = False


class Announcement(_Message, frozen=True):
    """Detections, from the receiver (see `sifting.payloads`), and what they belong to (see `sifting.collecting`)."""

    data: _Data
    part: Literal["sample", "middle", "end"]


class Answer(_Message, frozen=True):
    """Which of them to keep, from the transmitter, in order of the announcements."""

    data: _Data


class Open(_Message, frozen=True):
    """The sender has set that authentication key aside durably, and proves it. The receiver asks first."""

    name: _Name
    receipt: _Sixteen


class Begin(_Message, frozen=True):
    """The transmitter begins with a round that both have; a seed for its error correction, drawn just now."""

    round: _Number
    seed: _Sixteen


class Reconcile(_Message, frozen=True):
    """Error correction of a round (see `reconciliation`), both ways."""

    round: _Number
    data: _Data


class Wrong(_Message, frozen=True):
    """Frames that the receiver knows to be wrong; from the receiver."""

    round: _Number
    frames: Annotated[tuple[_Bits, ...], Meta(max_length=_MAX_FRAMES)]


class FrameBits(_Message, frozen=True):
    """The transmitter's bits of the frames asked for, packed, one frame after the other without gaps."""

    round: _Number
    data: _Data


class Digest(_Message, frozen=True):
    """The transmitter's digest of the whole round, under a fresh key."""

    round: _Number
    key: _Sixteen
    digest: _Sixteen


class Differs(_Message, frozen=True):
    """The receiver's digest is another one."""

    round: _Number


class FrameDigests(_Message, frozen=True):
    """The transmitter's digests of the frames, under a fresh key."""

    round: _Number
    key: _Sixteen
    data: _Data


class Counted(_Message, frozen=True):
    """The digests agree. Wrong Z bits per intensity, and detections in which both detectors clicked, by the
    receiver's basis and whether it was the transmitter's. `barren`: they allow no key, so that no tag follows."""

    round: _Number
    m_z: _PerIntensity
    doubles: tuple[_Bits, _Bits, _Bits, _Bits]
    barren: bool


class Final(_Message, frozen=True):
    """What the round yields, from the transmitter: a seed and this many bits, the first `pool_bytes` of them for
    authentication keys, the rest blocks from `first_sequence` on; or no bits, and why."""

    round: _Number
    seed: _Data
    key_bits: _Bits
    pool_bytes: _Bits
    first_sequence: _Number
    reason: _Text
    alarm: bool


class Tag(_Message, frozen=True):
    """Authenticates everything since the sender's last tag."""

    tag: _Sixteen


class Done(_Message, frozen=True):
    """The receiver has verified the transmitter's tag and has concluded the round; it alone shows the proof."""

    round: _Number
    proof: _Sixteen


type Body = (
    Alive
    | Announcement
    | Answer
    | Open
    | Begin
    | Reconcile
    | Wrong
    | FrameBits
    | Digest
    | Differs
    | FrameDigests
    | Counted
    | Final
    | Tag
    | Done
)
type Message = Hello | Bye | Piece

_encoder = msgspec.msgpack.Encoder()
_messages = msgspec.msgpack.Decoder(Message)
_bodies = msgspec.msgpack.Decoder(Body)


def encode(message: Message | Body) -> bytes:
    """As it goes over the line."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """Raises PeerError."""
    try:
        message: Message = _messages.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(f"a malformed message of the far end ({type(error).__name__})") from None
    return message


def decode_body(data: bytes | bytearray) -> Body:
    """Raises PeerError."""
    try:
        body: Body = _bodies.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(f"a malformed message of the far end ({type(error).__name__})") from None
    return body
