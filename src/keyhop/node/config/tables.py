"""From TOML tables to dataclasses: unknown keys are errors that name the nearest known one; paths become absolute.

Tables are called in messages as they are written: `[policy]`, `[[kmes]] bob`, `[links.source] of alice-bob`.
"""

import math
from collections.abc import Collection
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from keyhop.core.errors import ConfigurationError
from keyhop.core.names import hint_of_names
from keyhop.link.registry import options_type
from keyhop.node.config.values import nearest, shown, wanted

_OPTIONS = "options"
"""A field of this name takes those keys of its table that no other field takes; their dataclass follows `kind`."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the file we are, and what relative paths are relative to."""

    directory: Path
    name: str = ""
    label: str = ""
    whose: str = ""

    def below(self, key: str) -> "_Place":
        name = f"{self.name}.{key}" if self.name else key
        return _Place(self.directory, name, f"[{name}]{self.whose}", self.whose)

    def item(self, key: str, number: int, table: Any) -> "_Place":
        below = self.below(key)
        known_as = table.get("id") if isinstance(table, dict) else None
        known_as = known_as if isinstance(known_as, str) else f"number {number}"
        return _Place(self.directory, below.name, f"[[{below.name}]] {known_as}", f" of {known_as}")

    def error(self, message: str, hint: str | None = None) -> ConfigurationError:
        return ConfigurationError(f"{self.label} {message}".strip(), hint=hint)


def table_to[T](target: type[T], document: dict[str, Any], directory: Path) -> T:
    """A dataclass from a parsed document. Raises ConfigurationError."""
    return _table(target, document, _Place(directory))


def element(kind: Any) -> type | None:
    """The dataclass that an array of tables holds (`tuple[T, ...]`), or None for anything else."""
    held = get_args(kind)[0] if get_origin(kind) is tuple else None
    return held if isinstance(held, type) and is_dataclass(held) else None


def _table[T](target: type[T], table: Any, place: _Place, siblings: Collection[str] = ()) -> T:
    if not isinstance(table, dict):
        raise place.error("shall be a table", _single(target) if isinstance(table, list) else None)
    hints, noted = get_type_hints(target), get_type_hints(target, include_extras=True)
    names = [name for name in hints if name != _OPTIONS]
    rest = {key: value for key, value in table.items() if key not in names}
    if _OPTIONS not in hints:
        _refuse_unknown(rest, [*names, *siblings], place)
    values: dict[str, Any] = {}
    for field in fields(target):  # type: ignore[arg-type]
        if field.name == _OPTIONS:
            values[_OPTIONS] = _options(values["kind"], rest, names, place)
        elif field.name in table:
            values[field.name] = _value(hints[field.name], noted[field.name], field.name, table, place)
        elif isinstance(field.default, Path):
            values[field.name] = place.directory / field.default
        elif field.default is MISSING and field.default_factory is MISSING:
            raise _missing(field.name, hints[field.name], place)
    return target(**values)


def _value(hint: Any, noted: Any, key: str, table: dict[str, Any], place: _Place) -> Any:
    value = table[key]
    held = element(hint)
    if held is not None:
        if not isinstance(value, list):
            raise place.error(f"{key}: write each as [[{place.below(key).name}]]")
        return tuple(_table(held, item, place.item(key, n, item)) for n, item in enumerate(value, 1))
    if is_dataclass(hint):
        return _table(hint, value, place.below(key))  # type: ignore[arg-type]
    if isinstance(value, float) and not math.isfinite(value):
        raise place.error(f"{key} = {value}: shall be {wanted(noted)}", nearest(noted, value))
    try:
        return msgspec.convert(value, noted, dec_hook=lambda kind, item: _path(item, place))
    except msgspec.ValidationError:
        raise place.error(f"{key} = {shown(value)}: shall be {wanted(noted)}", nearest(noted, value)) from None


def _path(value: Any, place: _Place) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("Expected a path")
    path = place.directory / Path(value)
    # A message with `..` in it is hard to read; else links stay links, which their owner may turn elsewhere.
    return path.parent.resolve() / path.name if ".." in path.parts and path.name != ".." else path


def _options(kind: str, table: dict[str, Any], siblings: Collection[str], place: _Place) -> Any:
    try:
        target = options_type(kind)
    except ConfigurationError as failure:
        raise place.error(failure.message, failure.hint) from None
    return _table(target, table, place, siblings)


def _single(target: type) -> str:
    """What to do about [[double brackets]] around what there is one of."""
    several = [name for name, kind in get_type_hints(target).items() if element(kind)]
    inside = f"; what there may be several of in it: {', '.join(several)}" if several else ""
    return f"write it once, in single brackets{inside}"


def _refuse_unknown(rest: dict[str, Any], known: Collection[str], place: _Place) -> None:
    for key, value in rest.items():
        inside = f" in {place.label}" if place.label else ""
        what = "section" if not place.label and isinstance(value, dict | list) else "key"
        raise ConfigurationError(f'unknown {what} "{key}"{inside}', hint=hint_of_names(key, known, "known here"))


def _missing(key: str, hint: Any, place: _Place) -> ConfigurationError:
    if is_dataclass(hint):
        return place.error(f"section [{key}] is missing")
    return place.error(f'needs "{key}"')
