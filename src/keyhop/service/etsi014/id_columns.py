"""Many key IDs of one body, read column by column: the counterpart of `encode`'s columns.

Programs write every item of a list alike, so character j of every item is one strided slice of the body. What the first
item and all around the list mean is read by the strict way, from a body with that item alone. If then every other item
has the same characters everywhere but in the digits of its ID, the body means just that, for each of them.
"""

from binascii import unhexlify
from collections.abc import Callable

from keyhop.core.errors import BadRequest
from keyhop.core.ids import key_id_from_text

_MIN_ITEMS = 24
_TEXT_LENGTH = 36
_HYPHENS = frozenset((8, 13, 18, 23))


def ids_in_columns(body: bytes, read: Callable[[bytes], list[str]]) -> bytes | None:
    """The IDs, 16 bytes each, one after the other; None for any body that is not of the kind described above.

    `read` gives the texts of the IDs of a small body, or raises BadRequest.
    """
    if len(body) < _MIN_ITEMS * _TEXT_LENGTH:
        return None
    start = body.find(b"{", 1)
    end = body.find(b"}", start) + 1
    following = body.find(b"{", end)
    if not 0 < start < end <= following:
        return None
    tail = body.rfind(b"}", 0, body.rfind(b"}")) + 1
    width = following - start
    count, rest = divmod(tail + following - end - start, width)
    at = _text_at(body, start, end, tail, read) if count >= _MIN_ITEMS and not rest else None
    return None if at is None else _ids(body[start:tail], width, count, at - start)


def _text_at(body: bytes, start: int, end: int, tail: int, read: Callable[[bytes], list[str]]) -> int | None:
    """Where the ID's text begins that the first item consists of."""
    try:
        (text,) = read(body[:end] + body[tail:])
        key_id_from_text(text)
    except (BadRequest, ValueError):
        return None
    at = body.find(text.encode("ascii"), start, end)
    return at if at >= 0 else None


def _ids(items: bytes, width: int, count: int, at: int) -> bytes | None:
    digits = bytearray(32 * count)
    number = 0
    for column in range(width):
        characters = items[column::width]
        if 0 <= column - at < _TEXT_LENGTH and column - at not in _HYPHENS:
            digits[number::32] = characters
            number += 1
        elif characters != characters[:1] * len(characters):
            return None
    try:
        return unhexlify(digits)  # unlike bytes.fromhex it takes no white space
    except ValueError:
        return None
