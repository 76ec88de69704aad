"""What a vendor's KME answers, from bytes that may be anything (ETSI GS QKD 014 V1.1.1, clause 6)."""

import base64
import binascii
from typing import Any

import msgspec

from keyhop.core.errors import BadRequest
from keyhop.core.ids import key_id_from_text
from keyhop.core.keys import KeyMaterial
from keyhop.link.vendors.device import DeviceFault

MAX_ANSWER_BYTES = 1 << 20
_MAX_TEXT = 200


class _Key(msgspec.Struct):
    key_ID: str  # noqa: N815 - as the standard writes it
    key: str


class _Container(msgspec.Struct):
    keys: list[_Key]


class KmeStatus(msgspec.Struct, frozen=True):
    """What we use of a status; sizes in bits. A KME that leaves something out is taken at its word elsewhere."""

    key_size: int | None = None
    stored_key_count: int | None = None
    max_key_per_request: int | None = None
    max_key_size: int | None = None
    min_key_size: int | None = None


def status(body: bytes) -> KmeStatus:
    """An answer to Get status. Raises DeviceFault."""
    return _decoded(body, KmeStatus)


def keys(body: bytes, size_bytes: int | None, most: int) -> dict[bytes, KeyMaterial]:
    """Keys by ID, in their order. Raises DeviceFault: malformed, too many, of another size, an ID twice."""
    found: dict[bytes, KeyMaterial] = {}
    for item in _decoded(body, _Container).keys:
        try:
            key_id = key_id_from_text(item.key_ID)
            secret = base64.b64decode(item.key, validate=True)
        except (BadRequest, binascii.Error, ValueError):
            raise DeviceFault("the KME gave a key whose ID is no UUID or whose bytes are no base64") from None
        if not secret or (size_bytes is not None and len(secret) != size_bytes):
            raise DeviceFault(f"the KME gave a key of {8 * len(secret)} bits instead of {8 * (size_bytes or 0)}")
        if key_id in found:
            raise DeviceFault("the KME gave two keys under one ID")
        found[key_id] = KeyMaterial(secret)
    if len(found) > most:
        raise DeviceFault(f"the KME gave {len(found)} keys instead of {most}")
    return found


def complaint(body: bytes) -> str:
    """The message of an error answer, harmless to log; empty when there is none."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    text = document.get("message") if isinstance(document, dict) else None
    return "".join(c if c.isprintable() else " " for c in text[:_MAX_TEXT]).strip() if isinstance(text, str) else ""


def _decoded[T](body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as failure:
        _, at, where = str(failure).rpartition(" - at ")
        place = where[:_MAX_TEXT] if at else "the top"
        raise DeviceFault(f"the KME's answer is not as the standard has it, at {place}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DeviceFault("the KME's answer is not JSON") from None
