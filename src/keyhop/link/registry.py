"""From a link's configuration to its adapter, by kind."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from keyhop.core.clock import Clock
from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import LinkId
from keyhop.link.adapter import LinkAdapter
from keyhop.link.rate import RateAdapter, RateOptions


class LinkOptions(Protocol):
    """What is configured of one link; `options` is of the type that `options_type(kind)` gives."""

    @property
    def id(self) -> LinkId:
        """The link's ID, the same at both ends."""
        ...

    @property
    def kind(self) -> str:
        """One of `kinds()`."""
        ...

    @property
    def options(self) -> Any:
        """What is particular to the kind."""
        ...


@dataclass(frozen=True, slots=True)
class _Kind:
    options: type
    adapter: Callable[..., LinkAdapter]


_KINDS = {"rate": _Kind(RateOptions, RateAdapter)}


def kinds() -> tuple[str, ...]:
    """The kinds of link that there are."""
    return tuple(_KINDS)


def options_type(kind: str) -> type:
    """The dataclass of a kind's options. ConfigurationError when there is no such kind."""
    return _find(kind).options


def make_adapter(link: LinkOptions, *, lab: bool, clock: Clock, after: int = -1) -> LinkAdapter:
    """One end of a link. `after` is the highest sequence that the node's store remembers of it.

    Raises ConfigurationError: no such kind, a lab kind outside a lab, files that cannot be used.
    """
    return _find(link.kind).adapter(link.id, link.options, lab=lab, clock=clock, after=after)


def _find(kind: str) -> _Kind:
    if kind in _KINDS:
        return _KINDS[kind]
    nearest = difflib.get_close_matches(kind, _KINDS, n=1)
    raise ConfigurationError(
        f"unknown kind of link {kind!r}",
        hint=f'did you mean "{nearest[0]}"?' if nearest else f"the kinds are: {', '.join(_KINDS)}",
    )
