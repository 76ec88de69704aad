"""The body of a request: its content type, its bounds, and the strict JSON in it.

There are two ways to read it. What nearly every body is msgspec reads, fast enough for the largest; whatever is unusual
takes ten times as long the strict way, and may be an eighth as large, so that no body holds up others for long.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from keyhop.core.errors import BadRequest
from keyhop.service.strict_json import parse_strictly

MAX_BODY_BYTES = 64 * 1024
MAX_UNUSUAL_BYTES = 8 * 1024
MAX_CONTAINERS = 512  # each costs a call of a hook
TOO_LARGE = f"the body shall have at most {MAX_BODY_BYTES} bytes"
_TOO_UNUSUAL = f"a body of more than {MAX_UNUSUAL_BYTES} bytes shall be nothing but a list of keys or key IDs"

_CONTENT_TYPE = re.compile(
    rb'application/json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*"?utf-8"?[ \t]*)?;?[ \t]*', re.IGNORECASE
)


def check_content_type(headers: list[tuple[bytes, bytes]]) -> None:
    """BadRequest unless the one content type is `application/json`, with or without `charset=utf-8`."""
    values = [value for name, value in headers if name == b"content-type"]
    if len(values) != 1 or not _CONTENT_TYPE.fullmatch(values[0].strip()):
        raise BadRequest("content type shall be application/json")


def plain[T](body: bytes, decoder: msgspec.json.Decoder[T], members: Callable[[T], int]) -> T | None:
    """What nearly every body is; None when in doubt. `members` counts those that the body should have.

    msgspec does not see that a member is named twice. Each member takes a colon, so when there are no more colons
    than members in the result none was.
    """
    if len(body) > MAX_BODY_BYTES:
        return None
    try:
        value = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value if body.count(b":") == members(value) else None


def converted[T](body: bytes, kind: type[T]) -> T:
    """Whatever fits a data format. Raises BadRequest."""
    try:
        return msgspec.convert(parse_json(body), kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the body does not fit the data format: {error}") from None


def parse_json(body: bytes) -> Any:
    """The value of a JSON text, or BadRequest."""
    if MAX_UNUSUAL_BYTES < len(body) <= MAX_BODY_BYTES:
        raise BadRequest(_TOO_UNUSUAL)
    return parse_strictly(body, max_bytes=MAX_BODY_BYTES, max_containers=MAX_CONTAINERS)
