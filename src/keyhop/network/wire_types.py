"""What the messages between two nodes are made of: the bounds of every field are checked before anybody sees it."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_SEALED_BYTES = 1 << 20
MAX_RECORDS_PER_BATCH = 1 << 14
MAX_SLAVES = 1025
"""Of one key, and so at one KME: a request names one, and so many less one in addition."""

Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Position = Annotated[int, Meta(ge=0, le=1 << 36)]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\s\x00-\x1f\x7f-\x9f]+\Z")]
Slaves = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MAX_SLAVES)]
Words = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]
"""What people are to read, without what a terminal would obey."""
Tag = Annotated[bytes, Meta(min_length=16, max_length=16)]
Id = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """A message is an array: its name, then its fields in their order."""


def words(text: str) -> str:
    """What of a text may be sent as `Words`."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text)[:200]
