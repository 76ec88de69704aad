"""Names of things, as the standards write them, checked where they enter.

A KME ID or SAE ID is 1 to 64 visible characters (ETSI GS QKD 020 bounds SAE IDs at 64). A key ID is 16 bytes
inside keyhop and a UUID in text outside.
"""

from binascii import unhexlify
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NewType

from keyhop.core.errors import BadRequest

KmeId = NewType("KmeId", str)
SaeId = NewType("SaeId", str)
LinkId = NewType("LinkId", str)
type SaePair = tuple[SaeId, SaeId]
"""A master and a slave."""

MAX_NAME_LENGTH = 64
KEY_ID_BYTES = 16
_TEXT_LENGTH = 36


def _checked(kind: str, text: str) -> str:
    if not 1 <= len(text) <= MAX_NAME_LENGTH or not text.isprintable() or any(c.isspace() for c in text):
        raise BadRequest(f"{kind} shall be 1 to {MAX_NAME_LENGTH} visible characters")
    return text


def sae_id(text: str) -> SaeId:
    """An SAE ID, or `BadRequest`."""
    return SaeId(_checked("SAE_ID", text))


@lru_cache(maxsize=1024)  # the same few names stand in every report that nodes tell of each other
def kme_id(text: str) -> KmeId:
    """A KME ID, or `BadRequest`."""
    return KmeId(_checked("KME_ID", text))


def link_id(text: str) -> LinkId:
    """A link ID, or `BadRequest`."""
    return LinkId(_checked("link ID", text))


def key_id_from_text(text: str) -> bytes:
    """The 16 bytes of a UUID in its 8-4-4-4-12 form (either case), or `BadRequest`."""
    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":
        digits = text.replace("-", "")
        if len(digits) == 32:
            try:
                return unhexlify(digits)  # unlike bytes.fromhex it takes no white space
            except ValueError:
                pass
    raise BadRequest("key_ID shall be a UUID")


def key_ids_from_texts(texts: Sequence[str]) -> bytes:
    """The same of many, one after the other, in a tenth of the time."""
    if len(texts) == 1:
        return key_id_from_text(texts[0])
    count, text = len(texts), "".join(texts)
    if text.isascii() and all(length == _TEXT_LENGTH for length in map(len, texts)):
        letters = text.encode("ascii")
        digits = letters.replace(b"-", b"")
        hyphens = b"-" * count
        if len(digits) == 32 * count and all(letters[at::_TEXT_LENGTH] == hyphens for at in (8, 13, 18, 23)):
            with suppress(ValueError):
                return unhexlify(digits)
    raise BadRequest("key_ID shall be a UUID")


def each_id(ids: bytes) -> list[bytes]:
    """IDs that stand one after the other, each by itself."""
    return [ids[at : at + KEY_ID_BYTES] for at in range(0, len(ids), KEY_ID_BYTES)]


def key_id_text(key_id: bytes) -> str:
    """The 8-4-4-4-12 form of 16 bytes, in lower case."""
    h = key_id.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
