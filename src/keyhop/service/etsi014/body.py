"""The body of a request: its content type, its bounds, and the strict JSON in it."""

import re
from typing import Any

from keyhop.core.errors import BadRequest
from keyhop.service.strict_json import parse_strictly

MAX_BODY_BYTES = 64 * 1024
MAX_CONTAINERS = 4096  # each costs a call of a hook; 64 KiB have room for 1,300 key IDs
TOO_LARGE = f"the body shall have at most {MAX_BODY_BYTES} bytes"

_CONTENT_TYPE = re.compile(
    rb'application/json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*"?utf-8"?[ \t]*)?;?[ \t]*', re.IGNORECASE
)


def check_content_type(headers: list[tuple[bytes, bytes]]) -> None:
    """BadRequest unless the one content type is `application/json`, with or without `charset=utf-8`."""
    values = [value for name, value in headers if name == b"content-type"]
    if len(values) != 1 or not _CONTENT_TYPE.fullmatch(values[0].strip()):
        raise BadRequest("content type shall be application/json")


def parse_json(body: bytes) -> Any:
    """The value of a JSON text, or BadRequest."""
    return parse_strictly(body, max_bytes=MAX_BODY_BYTES, max_containers=MAX_CONTAINERS)
