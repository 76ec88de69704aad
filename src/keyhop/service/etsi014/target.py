"""The request target: path and query, both hostile until they are taken apart here."""

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from keyhop.core.errors import BadRequest
from keyhop.core.ids import SaeId, key_id_from_text, sae_id

MAX_INTEGER = 2**31
_MAX_DIGITS = 10
_MAX_QUERY_BYTES = 256
_PREFIX = [b"", b"api", b"v1", b"keys"]
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

ALLOWED_METHODS = {
    b"status": ("GET",),
    b"enc_keys": ("GET", "POST"),
    b"dec_keys": ("GET", "POST"),
    b"keyhop_insert": ("POST",),
    b"keyhop_void": ("POST",),
}


def split_path(raw_path: bytes) -> tuple[bytes, bytes] | None:
    """The SAE ID as it was sent and the last segment of `/api/v1/keys/{SAE_ID}/{verb}`; else None.

    Splits before decoding, so that `%2F` can be part of an SAE ID.
    """
    parts = raw_path.split(b"/")
    if len(parts) != 6 or parts[:4] != _PREFIX or parts[5] not in ALLOWED_METHODS:
        return None
    return parts[4], parts[5]


@lru_cache(maxsize=4096)
def sae_from_segment(segment: bytes) -> SaeId:
    """The SAE ID of a percent-encoded path segment, or BadRequest."""
    if _BROKEN_ESCAPE.search(segment):
        raise BadRequest("the path is not correctly percent-encoded")
    try:
        return sae_id(unquote_to_bytes(segment).decode("utf-8"))
    except UnicodeDecodeError:
        raise BadRequest("the SAE_ID in the path is not UTF-8") from None


def number_and_size(query: bytes) -> tuple[int | None, int | None]:
    """`number` and `size` of a GET for enc_keys, each None when absent; BadRequest for anything else."""
    if not query:
        return None, None
    values = _parameters(query, ("number", "size"))
    return _integer(values, "number"), _integer(values, "size")


def single_key_id(query: bytes) -> bytes:
    """The one `key_ID` of a GET for dec_keys (16 bytes), or BadRequest."""
    values = _parameters(query, ("key_ID",))
    if "key_ID" not in values:
        raise BadRequest("key_ID is required")
    return key_id_from_text(values["key_ID"])


def refuse_query(query: bytes) -> None:
    """BadRequest when there is a query where the standard has none."""
    if query:
        raise BadRequest("this request takes no query parameters")


def _parameters(query: bytes, known: tuple[str, ...]) -> dict[str, str]:
    if len(query) > _MAX_QUERY_BYTES:
        raise BadRequest(f"the query shall have at most {_MAX_QUERY_BYTES} bytes")
    values: dict[str, str] = {}
    for part in query.split(b"&") if query else ():
        name, _, value = (_decoded(piece) for piece in part.partition(b"="))
        if name not in known:
            raise BadRequest(f"unknown query parameter; known here: {', '.join(known)}")
        if name in values:
            raise BadRequest(f"query parameter {name} shall be given once")
        if not value:
            raise BadRequest(f"query parameter {name} is empty")
        values[name] = value
    return values


def _decoded(piece: bytes) -> str:
    if _BROKEN_ESCAPE.search(piece):
        raise BadRequest("the query is not correctly percent-encoded")
    try:
        return unquote_to_bytes(piece).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("the query is not UTF-8") from None


def _integer(values: dict[str, str], name: str) -> int | None:
    text = values.get(name)
    if text is None:
        return None
    if len(text) <= _MAX_DIGITS and text.isascii() and text.isdigit() and int(text) <= MAX_INTEGER:
        return int(text)
    raise BadRequest(f"{name} shall be a decimal integer from 0 to {MAX_INTEGER}")
