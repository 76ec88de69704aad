"""A run: one unbroken conversation of both ends, from their greetings on.

The rules:

1. A run is the pair of greetings: its ID is a hash of the link, both nonces and the settings. No clock takes part.
2. Every piece of a message carries the ID and a number that counts up without gaps, in each direction. A lower number
   is a repeat and is dropped, as is another run's. A higher one means that something was lost: the run is over.
3. Everything but the tags is added to the transcripts as it is sent or arrives, the greetings first, with the echo
   filled in, so that names and sequences told in greetings are authenticated by the first tag.
4. What breaks a rule, or cannot be understood, ends the run; nothing of the rounds under way is ever used then.
"""

import hashlib

import msgspec

from keyhop.core.errors import LinkError, PeerError
from keyhop.core.ids import LinkId
from keyhop.link.bb84.authentication.tag_keys import Role, TagKey
from keyhop.link.bb84.authentication.transcripts import MAX_HELD_BYTES, Authentication
from keyhop.link.bb84.protocol.messages import (
    MAX_BODY_BYTES,
    MAX_PIECE_BYTES,
    RUN_BYTES,
    Body,
    Hello,
    Piece,
    Tag,
    decode_body,
    encode,
)


class Interrupted(LinkError):
    """The conversation broke off, and nobody need have done wrong."""


class Run:
    """One end of a run. `near` is this end's greeting, `far` the far end's."""

    def __init__(self, link: LinkId, role: Role, near: Hello, far: Hello) -> None:
        self.role: Role = role
        self.near, self.far = near, far
        self.id = _run_id(link, near, far) if role == "transmitter" else _run_id(link, far, near)
        self._authentication = Authentication(link, self.id, role)
        self._authentication.sent(encode(msgspec.structs.replace(near, echo=far.nonce)))
        self._authentication.received(encode(msgspec.structs.replace(far, echo=near.nonce)))
        self._sent = self._heard = 0
        self._arriving = bytearray()
        self._unauthenticated = 0
        self._key_is_in_use = False
        self.stretch_bytes = 0
        """What both ends said since the last tags."""
        self.key: TagKey | None = None

    def say(self, body: Body) -> list[bytes]:
        """The messages that carry a body. LinkError when too much would go unauthenticated."""
        data = encode(body)
        messages = []
        for start in range(0, len(data), MAX_PIECE_BYTES):
            end = start + MAX_PIECE_BYTES
            message = encode(Piece(self.id, self._sent, end < len(data), data[start:end]))
            self._sent += 1
            if not isinstance(body, Tag):
                self._authentication.sent(message)
                self._unauthenticated += len(message)
                self.stretch_bytes += len(message)
            messages.append(message)
        return messages

    def hear(self, piece: Piece, message: bytes) -> Body | None:
        """The body that is complete with this piece, if one is. Raises PeerError, Interrupted, and
        LinkError as `say`."""
        if piece.run != self.id or piece.index < self._heard:
            return None
        if piece.index > self._heard:
            raise Interrupted("a message of the far end was lost")
        self._heard += 1
        self.stretch_bytes += len(message)
        if len(self._arriving) + len(piece.data) > MAX_BODY_BYTES:
            raise PeerError("the far end does not come to an end")
        self._arriving += piece.data
        if piece.more:
            self._authentication.received(message)
            return None
        arrived, self._arriving = self._arriving, bytearray()
        body = decode_body(arrived)
        if not isinstance(body, Tag):
            self._authentication.received(message)
        return body

    @property
    def room_bytes(self) -> int:
        """How much this end may still say before its present stretch has a key; no less than half the limit once it
        has one."""
        return MAX_HELD_BYTES // 2 - (0 if self._key_is_in_use else self._unauthenticated)

    @property
    def confirmed(self) -> bool:
        """Whether both ends have set aside the key of the present stretch."""
        return self.key is not None and self.key.confirmed

    def open(self, key: TagKey) -> bytes:
        """Gives the stretch its key; the receipt to send once that key is out of the pool durably."""
        self.key = key
        self._key_is_in_use = True
        return self._authentication.open(key)

    def confirm(self, receipt: bytes) -> None:
        """Takes the far end's receipt. Raises PeerError."""
        self._authentication.confirm(receipt)

    def seal(self) -> Tag:
        """The tag over what this end said in the stretch."""
        self._unauthenticated = 0
        self._key_is_in_use = False
        return Tag(self._authentication.seal())

    def verify(self, tag: Tag) -> None:
        """PeerError unless everything arrived as the far end said it."""
        self._authentication.verify(tag.tag)

    @property
    def heard(self) -> int:
        """How many pieces of the far end were taken."""
        return self._heard

    def close(self) -> None:
        """Both tags of the stretch are done: the next one needs a key."""
        self.stretch_bytes = 0
        self.key = None


def _run_id(link: LinkId, transmitter: Hello, receiver: Hello) -> bytes:
    fields = (b"keyhop bb84 run v1", link.encode(), transmitter.nonce, receiver.nonce, transmitter.settings.encode())
    framed = b"".join(len(field).to_bytes(8) + field for field in fields)
    return hashlib.sha256(framed).digest()[:RUN_BYTES]
