"""What a value of node.toml may be, in words, from the types and notes of the dataclasses."""

import difflib
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta

_SHOWN_CHARACTERS = 60
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path", str: "a text"}
_PATTERNS = {"^https://": "an address such as https://kme.example:8443, without `?` or `#`"}
"""By how a pattern begins: regular expressions are for programs."""


def wanted(kind: Any) -> str:
    """As in `shall be ...`: `a whole number from 8 to 8192, in steps of 8`."""
    kind, notes = _parted(kind)
    if get_origin(kind) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return _joined(
            "a list of length", _range(notes, "min_length", "max_length"), f"each {wanted(get_args(kind)[0])}"
        )
    if kind in (int, float):
        step = _said(notes, "multiple_of")
        return _joined(_NAMES[kind], _range(notes, "ge", "le"), None if step is None else f"in steps of {step}")
    if pattern := _said(notes, "pattern"):
        return next((words for start, words in _PATTERNS.items() if pattern.startswith(start)), "another text")
    return _NAMES.get(kind, "a text")


def _joined(what: str, limits: str, more: str | None) -> str:
    limited = f"{what} {limits}" if limits else what
    return limited if more is None else f"{limited}, {more}"


def nearest(kind: Any, value: Any) -> str | None:
    """Of a few fixed values the one that was perhaps meant; else what the value is for."""
    bare, notes = _parted(kind)
    described: str | None = _said(notes, "description")
    if get_origin(bare) is not Literal:
        return described
    close = difflib.get_close_matches(str(value).lower(), get_args(bare), n=1, cutoff=0.5)
    return f'did you mean "{close[0]}"?' if close else described


def shown(value: Any) -> str:
    """A value as it stands in the file, or so."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _parted(kind: Any) -> tuple[Any, tuple[Meta, ...]]:
    """The type without its notes and without None, and the notes, outer ones first."""
    notes: tuple[Meta, ...] = ()
    while True:
        if get_origin(kind) is Annotated:
            kind, note = get_args(kind)
            notes += (note,)
        elif get_origin(kind) in (UnionType, Union):
            kind = next(each for each in get_args(kind) if each is not NoneType)
        else:
            return kind, notes


def _said(notes: tuple[Meta, ...], what: str) -> Any:
    return next((said for note in notes if (said := getattr(note, what)) is not None), None)


def _range(notes: tuple[Meta, ...], least: str, most: str) -> str:
    low, high, over, under = (_said(notes, what) for what in (least, most, "gt", "lt"))
    if low is not None and high is not None:
        return f"from {low:.9g} to {high:.9g}"
    limits = (("at least", low), ("over", over), ("under", under), ("at most", high))
    return " and ".join(f"{words} {limit:.9g}" for words, limit in limits if limit is not None)
