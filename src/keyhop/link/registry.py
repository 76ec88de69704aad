"""From a link's configuration to its adapter, by kind."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keyhop.core.errors import ConfigurationError, LinkError
from keyhop.core.names import hint_of_names
from keyhop.link.adapter import LinkAdapter, LinkEnd
from keyhop.link.bb84.settings import Bb84Options
from keyhop.link.rate import RateAdapter, RateOptions
from keyhop.link.vendors.settings import Etsi004Options, Etsi014Options, FilesOptions


@dataclass(frozen=True, slots=True)
class _Kind:
    options: type
    adapter: Callable[[Any, LinkEnd], LinkAdapter]


def _bb84(options: Bb84Options, end: LinkEnd) -> LinkAdapter:
    """Imports numpy and numba only when a link needs them: they are an extra of the package."""
    try:
        from keyhop.link.bb84.adapter import Bb84Adapter
    except ModuleNotFoundError as missing:
        raise ConfigurationError(
            f"link {end.link}: kind 'bb84' needs {missing.name}, which is not installed",
            hint="pip install 'keyhop[bb84]'",
        ) from None
    return Bb84Adapter(options, end)


def _etsi014(options: Etsi014Options, end: LinkEnd) -> LinkAdapter:
    """Imports httpx only when a link needs it."""
    from keyhop.link.vendors.etsi014 import make_etsi014

    return make_etsi014(options, end)


def _etsi004(options: Etsi004Options, end: LinkEnd) -> LinkAdapter:
    from keyhop.link.vendors.etsi004 import make_etsi004

    return make_etsi004(options, end)


def _files(options: FilesOptions, end: LinkEnd) -> LinkAdapter:
    from keyhop.link.vendors.files import make_files

    return make_files(options, end)


_KINDS = {
    "rate": _Kind(RateOptions, RateAdapter),
    "bb84": _Kind(Bb84Options, _bb84),
    "etsi014": _Kind(Etsi014Options, _etsi014),
    "etsi004": _Kind(Etsi004Options, _etsi004),
    "files": _Kind(FilesOptions, _files),
}


def kinds() -> tuple[str, ...]:
    """The kinds of link that there are."""
    return tuple(_KINDS)


def options_type(kind: str) -> type:
    """The dataclass of a kind's options. ConfigurationError when there is no such kind."""
    return _find(kind).options


def make_adapter(kind: str, options: Any, end: LinkEnd) -> LinkAdapter:
    """One end of a link; `options` is of the type that `options_type(kind)` gives.

    Raises ConfigurationError: no such kind, a lab kind outside a lab, files that cannot be used.
    """
    return _find(kind).adapter(options, end)


def _find(kind: str) -> _Kind:
    if kind in _KINDS:
        return _KINDS[kind]
    raise ConfigurationError(f"unknown kind of link {kind!r}", hint=hint_of_names(kind, _KINDS, "the kinds are"))


def memory_of_old_copy(kind: str, saved: bytes) -> bytes:
    """What an adapter may find again of what it had saved, when the node's store turns out to be an old copy."""
    if kind != "bb84":
        return saved  # a sequence, which the clock or the device has passed
    from keyhop.link.bb84.authentication.tag_keys import without_keys

    try:
        return without_keys(saved)
    except LinkError:  # the adapter says so, and does not use it
        return saved
