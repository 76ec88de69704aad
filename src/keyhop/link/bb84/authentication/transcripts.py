"""What the two ends say to each other on the classical channel, authenticated with tags that come later.

All messages of one direction are hashed as they go, and now and then the sender seals what it has said since its last
seal: a stretch. The receiver acts on nothing that cannot be undone until the seal is verified. A message that was
altered, lost, repeated, reordered or invented is found then, and the run ends; it has cost one key.

A tag is Poly1305 under a key of 32 bytes that serves one tag in one direction, over: the context (which link, run and
sender), the number of the stretch, and each message, all with their lengths before them, so that different
conversations are different byte strings. No assumption of complexity is involved (Wegman and Carter, "New hash
functions and their use in authentication and set equality", 1981): with r and s uniform and used once, a forger with
unlimited power who saw one tag succeeds with at most

    8 * ceil(L / 16) / 2^106

per attempt on a stretch of L bytes (Bernstein, "The Poly1305-AES message-authentication code", 2005, section 3;
the tag is H_r(m) + s mod 2^128, so that s hides H_r as a one-time pad does), and he has one attempt, because the key is
gone after it. That is 2.8e-25 for a round of 45 MB, and 2^-75 at MAX_STRETCH_BYTES. No hash stands in between: Poly1305
reads the messages themselves, with the key of the stretch drawn when the stretch begins. (Shortening them first
with a second universal hash would add the error probabilities of both (Stinson, 1994) and save nothing at this speed.)

Keys made by earlier rounds are not perfect, but epsilon-close to perfect: the errors of all rounds since the enrolment
add up (Mueller-Quade and Renner, "Composability in quantum cryptography", 2009).
"""

from collections.abc import Buffer

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.errors import LinkError, PeerError
from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial
from keyhop.link.bb84.authentication.tag_keys import Role, TagKey

TAG_BYTES = 16
MAX_STRETCH_BYTES = 1 << 32
MAX_HELD_BYTES = 4 << 20
"""How much may be said before the stretch has its key."""

_LENGTH_BYTES = 8


def forgery_probability(size_bytes: int) -> float:
    """The probability at most that a forged stretch of up to that many bytes is accepted (Bernstein 2005)."""
    return 8 * -(-size_bytes // 16) / 2.0**106


def context(link: LinkId, run: bytes, sender: Role) -> bytes:
    """What a tag is bound to beside the messages; `run` is fresh for each run, with random bytes of both ends."""
    return b"".join(map(_framed, (b"keyhop bb84 v1", link.encode(), run, sender.encode())))


class Transcript:
    """One direction at one end: `open`, `add` every message, then `seal` or `verify`, which begins the next stretch.

    Messages may come before `open`: up to MAX_HELD_BYTES of them wait.
    """

    def __init__(self, context: bytes) -> None:
        self._context = _framed(context)
        self._stretch = 0
        self._size_bytes = 0
        self._held: list[bytes] = []
        self._hash: Poly1305 | None = None
        self._refused = False

    @property
    def size_bytes(self) -> int:
        """The size of the present stretch, framing included: what the forger's chances depend on."""
        return self._size_bytes

    @property
    def is_open(self) -> bool:
        """Whether the present stretch has its key."""
        return self._hash is not None

    def open(self, tag_key: KeyMaterial) -> None:
        """Gives the present stretch its key: of this direction, and for this stretch only.

        LinkError when it has one, and when a tag was refused before.
        """
        if self._hash is not None or self._refused:
            raise LinkError("the conversation cannot be authenticated any further")
        self._hash = Poly1305(tag_key.reveal())
        self._hash.update(self._context + self._stretch.to_bytes(_LENGTH_BYTES))
        self._size_bytes += len(self._context) + _LENGTH_BYTES
        for message in self._held:
            self._hash.update(message)
        self._held.clear()

    def add(self, message: Buffer) -> None:
        """The next message, as it is sent or as it arrived. LinkError when too much was said without a seal."""
        view = memoryview(message).cast("B")
        length = len(view).to_bytes(_LENGTH_BYTES)
        size_bytes = self._size_bytes + _LENGTH_BYTES + len(view)
        if size_bytes > (MAX_HELD_BYTES if self._hash is None else MAX_STRETCH_BYTES):
            raise LinkError("too much was said on the classical channel without being authenticated")
        self._size_bytes = size_bytes
        if self._hash is None:
            self._held.append(length + view)
        else:
            self._hash.update(length)
            self._hash.update(view)

    def seal(self) -> bytes:
        """The tag of what this end said in the stretch. LinkError when the stretch has no key."""
        return self._close().finalize()

    def verify(self, tag: bytes) -> None:
        """PeerError unless the far end said exactly what was added here. LinkError when the stretch has no key."""
        try:
            self._close().verify(tag)
        except InvalidSignature:
            self._refused = True
            raise PeerError("the classical channel was tampered with: an authentication tag is wrong") from None

    def _close(self) -> Poly1305:
        if self._hash is None:
            raise LinkError("this part of the conversation has no authentication key")
        closed, self._hash = self._hash, None
        self._stretch += 1
        self._size_bytes = 0
        return closed


class Authentication:
    """Both directions of one run at one end.

    A stretch: take a key from the pool and save the pool; once that is durable, `open` and send the receipt; `confirm`
    the receipt of the far end (on the key itself, where it comes before `open`); then `seal` and `verify`, in either
    order. `sent` and `received` take every message but the tags, from the first of the run on; those that come before
    `open`, the greeting with the names among them, belong to the same stretch.
    """

    def __init__(self, link: LinkId, run: bytes, role: Role) -> None:
        far_role: Role = "receiver" if role == "transmitter" else "transmitter"
        self._outgoing = Transcript(context(link, run, role))
        self._incoming = Transcript(context(link, run, far_role))
        self._key: TagKey | None = None

    def sent(self, message: Buffer) -> None:
        """A message of this end, in the order of sending. LinkError when too much was said."""
        self._outgoing.add(message)

    def received(self, message: Buffer) -> None:
        """A message of the far end, in the order of arrival. LinkError when too much was said."""
        self._incoming.add(message)

    def open(self, key: TagKey) -> bytes:
        """Gives the stretch its key, which must have left the pool durably; the receipt to send.

        LinkError while either direction of the stretch before is neither sealed nor verified.
        """
        if self._outgoing.is_open or self._incoming.is_open:
            raise LinkError("the stretch before is not authenticated yet")
        self._outgoing.open(key.sending)
        self._incoming.open(key.receiving)
        self._key = key
        return key.receipt.reveal()

    def confirm(self, receipt: bytes) -> None:
        """Takes the receipt of the far end. PeerError when it is wrong or comes too early."""
        if self._key is None:
            raise PeerError("the far end shows a receipt for an authentication key that nobody asked for")
        self._key.confirm(receipt)

    def seal(self) -> bytes:
        """The tag of what this end said. LinkError before the far end's receipt, and when already sealed."""
        if self._key is None or not self._key.confirmed:
            raise LinkError("the far end has not set the authentication key aside yet")
        return self._outgoing.seal()

    def verify(self, tag: bytes) -> None:
        """PeerError unless everything in the stretch arrived as the far end said it."""
        if not self._incoming.is_open:
            raise PeerError("the far end shows an authentication tag that nobody asked for")
        self._incoming.verify(tag)

    def forgery_probability(self) -> float:
        """The probability at most that one of the two tags of the present stretch would pass for a forgery."""
        return forgery_probability(self._outgoing.size_bytes) + forgery_probability(self._incoming.size_bytes)


def _framed(field: bytes) -> bytes:
    return len(field).to_bytes(_LENGTH_BYTES) + field
