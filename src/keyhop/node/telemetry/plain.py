"""What may be written of a value into a log: plain data. Bytes, in whatever disguise, are never written."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from keyhop.core.keys import KeyMaterial

MAX_TEXT = 4096
MAX_ITEMS = 64
_MAX_DEPTH = 6
_BYTES_LITERAL = re.compile(r"""\b[bB](["'])(?:\\.|(?!\1).)*(?:\1|$)""", re.DOTALL)
_PLAIN = (int, float, bool, type(None))
_TEXTUAL = (Enum, PurePath, UUID, date, datetime, timedelta, KeyMaterial)


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as plain data, bounded in size. What is not known to be harmless shows its type only."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if isinstance(value, memoryview):
        return f"<{value.nbytes} bytes>"
    if isinstance(value, _TEXTUAL):
        return _text(str(value))
    if isinstance(value, BaseException):
        return exception_text(value)
    return _collection(value, depth)


def _text(text: str) -> str:
    """Bounded, and without the literals that a `repr` of bytes has left in it (asyncio makes such messages)."""
    bounded = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"
    return _BYTES_LITERAL.sub("<bytes>", bounded)


def exception_text(failure: BaseException) -> str:
    """An exception in one line. Its own text may be made of bytes, so those are judged one by one."""
    if any(isinstance(part, str) or type(part) in _PLAIN for part in failure.args) or isinstance(failure, OSError):
        shown = ", ".join(str(plain(part)) for part in failure.args)
        return f"{type(failure).__name__}: {shown}"
    return type(failure).__name__


def _collection(value: Any, depth: int) -> Any:
    if depth >= _MAX_DEPTH:
        return f"<{type(value).__name__}>"
    if isinstance(value, Mapping):
        items = list(value.items())[:MAX_ITEMS]
        return {str(plain(key, depth + 1)): plain(item, depth + 1) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in list(value)[:MAX_ITEMS]]
    return f"<{type(value).__name__}>"
