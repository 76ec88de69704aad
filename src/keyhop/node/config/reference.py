"""The reference page of node.toml, made from the dataclasses: python -m keyhop.node.config.reference > PAGE."""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from msgspec import Meta

from keyhop.link.registry import kinds, options_type
from keyhop.node.config.node_config import LinkSection, NodeConfig
from keyhop.node.config.tables import element

PAGE = Path("docs/reference/configuration.md")

_LARGE = 1e6

_HEAD = """\
# Configuration of a node

The file that `keyhop node run --config` takes is TOML. `keyhop node check --config` says whether it can be used.
Relative paths are relative to the file. A key that is not listed here is an error.

This page is generated: `python -m keyhop.node.config.reference > docs/reference/configuration.md`
"""


def reference() -> str:
    """The whole page."""
    parts = [_HEAD]
    for field in fields(NodeConfig):
        kind = get_type_hints(NodeConfig)[field.name]
        held = element(kind)
        parts += _section(held or kind, field.name, is_array=held is not None)
    return "\n".join(parts)


def _section(section: type, name: str, *, is_array: bool) -> Iterator[str]:
    yield f"## `[[{name}]]`\n" if is_array else f"## `[{name}]`\n"
    yield from _body(section)
    for field in fields(section):
        held = element(get_type_hints(section)[field.name])
        if held is not None:
            yield from _section(held, f"{name}.{field.name}", is_array=True)
    if section is LinkSection:
        for kind in sorted(kinds()):
            yield f'### Options of `kind = "{kind}"`\n'
            yield from _body(options_type(kind))
            yield from _tables(options_type(kind), name)


def _tables(section: type, name: str) -> Iterator[str]:
    """The tables inside a table, and those inside them."""
    for key, kind in get_type_hints(section).items():
        if is_dataclass(kind):
            yield f"#### `[{name}.{key}]`\n"
            yield from _body(kind)  # type: ignore[arg-type]
            yield from _tables(kind, f"{name}.{key}")  # type: ignore[arg-type]


def _body(section: type) -> Iterator[str]:
    yield f"{inspect.cleandoc(section.__doc__ or '')}\n"
    yield "| key | type | default | what it is |\n|---|---|---|---|"
    hints = get_type_hints(section, include_extras=True)
    for field in fields(section):
        if get_origin(hints[field.name]) is not Annotated:
            continue
        kind, note = get_args(hints[field.name])
        if element(kind) is None and not is_dataclass(kind):
            yield f"| `{field.name}` | {_type(kind, note)} | {_default(field)} | {note.description} |"
    yield ""


def _type(kind: Any, note: Meta) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(f'`"{choice}"`' for choice in get_args(kind))
    if get_origin(kind) is tuple:
        held, *inner = get_args(get_args(kind)[0])
        return f"{note.min_length} to {note.max_length} of: {_type(held, inner[0])}"
    base = next(one for one in (*get_args(kind), kind) if one is not type(None))
    if get_origin(base) is Annotated:  # of a value that may be unset
        return _type(*get_args(base))
    if get_origin(base) is Literal:
        return _type(base, note)
    names = {Path: "path", bool: "boolean", int: "integer", float: "number"}
    limits = [
        f"{sign} {_number(limit)}"
        for sign, limit in ((">", note.gt), ("≥", note.ge), ("<", note.lt), ("≤", note.le))
        if limit is not None
    ]
    return ", ".join([names.get(base, "string"), *limits])


def _default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "required"
    if field.default is None:
        return "-"
    if isinstance(field.default, str | Path):
        return f'`"{field.default}"`'
    if isinstance(field.default, tuple):
        return f"`{list(field.default)}`"
    if isinstance(field.default, float) and abs(field.default) >= _LARGE:
        return f"`{_number(field.default)}`"
    return f"`{str(field.default).lower()}`"


def _number(value: Any) -> str:
    """Groups of three digits; large round floats as TOML takes them."""
    if isinstance(value, float) and value.is_integer():
        return f"{value:g}".replace("e+0", "e").replace("e+", "e") if value >= _LARGE else _number(int(value))
    return f"{value:,}".replace(",", " ")


if __name__ == "__main__":
    sys.stdout.write(reference())
