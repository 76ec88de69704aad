"""Extension parameters of a key request (ETSI GS QKD 014, clause 6.2), ours prefixed `keyhop_`.

keyhop_route_type   "direct" | "any"   only keys of the direct link between the two KMEs, or any route
keyhop_max_age_s    number > 0         no key bytes older than this many seconds
keyhop_provenance   true | false       say in `key_container_extension` where the keys come from
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keyhop.core.errors import BadRequest
from keyhop.service.etsi014.target import MAX_INTEGER
from keyhop.service.requests import RouteType

ROUTE_TYPE = "keyhop_route_type"
MAX_AGE_S = "keyhop_max_age_s"
PROVENANCE = "keyhop_provenance"

_MAX_NAME_LENGTH = 128

type Parameters = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Extensions:
    """What the extension parameters of one request come to, in the terms of `service.requests.GetKey`."""

    route: RouteType = "any"
    route_strict: bool = False
    max_age_s: float | None = None
    max_age_strict: bool = False
    provenance: bool = False


def _is_age(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_INTEGER


_VALID: dict[str, Callable[[object], bool]] = {
    ROUTE_TYPE: lambda value: value in ("direct", "any"),
    MAX_AGE_S: _is_age,
    PROVENANCE: lambda value: isinstance(value, bool),
}


def read_extensions(mandatory: Parameters | None, optional: Parameters | None) -> Extensions:
    """Mandatory parameters must be known and valid (BadRequest); optional ones that are not are ignored."""
    must = _named(mandatory or [], "extension_mandatory")
    may = _named(optional or [], "extension_optional")
    unknown = [name for name in must if name not in _VALID]
    if unknown:
        raise _refusal("not all extension_mandatory parameters are supported", unknown, "not supported")
    unmet = [name for name, value in must.items() if not _VALID[name](value)]
    if unmet:
        raise _refusal("not all extension_mandatory request options could be met", unmet, "value not supported")
    values = {name: value for name, value in may.items() if name in _VALID and _VALID[name](value)} | must
    age = values.get(MAX_AGE_S)
    return Extensions(
        route=values.get(ROUTE_TYPE, "any"),
        route_strict=ROUTE_TYPE in must,
        max_age_s=None if age is None else float(age),
        max_age_strict=MAX_AGE_S in must,
        provenance=values.get(PROVENANCE, False),
    )


def _named(parameters: Parameters, where: str) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for parameter in parameters:
        if len(parameter) != 1:
            raise BadRequest(f"each item of {where} shall have one name")
        ((name, value),) = parameter.items()
        if not 1 <= len(name) <= _MAX_NAME_LENGTH:
            raise BadRequest(f"names in {where} shall have 1 to {_MAX_NAME_LENGTH} characters")
        if name in named:
            raise BadRequest(f"{where} shall give each name once")
        named[name] = value
    return named


def _refusal(message: str, names: list[str], reason: str) -> BadRequest:
    return BadRequest(message, details=tuple({"extension_mandatory": name, "reason": reason} for name in names))
