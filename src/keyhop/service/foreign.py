"""SAEs of other domains, named one by one or by patterns in which `*` stands for anything, and the ways there."""

from collections.abc import Iterable
from typing import NamedTuple

from keyhop.core.ids import KmeId, SaeId
from keyhop.service.sae_patterns import ANY, one_of

MAX_REMEMBERED = 4096


class ForeignWay(NamedTuple):
    """The KME that leads to an SAE of another domain, and what the operator says of that domain (`crossing`)."""

    kme: KmeId
    per_domain: bool = False


class ForeignSaes[Way]:
    """Names one by one come before patterns, and of patterns the first one counts."""

    def __init__(self, entries: Iterable[tuple[str, Way]] = ()) -> None:
        """Each is an ID or a pattern, and the way there."""
        entries = tuple(entries)
        self._exact = {SaeId(name): way for name, way in entries if ANY not in name}
        self._patterns = [(one_of([name]), way) for name, way in entries if ANY in name]
        self._found: dict[SaeId, Way | None] = {}

    def way_to(self, sae: SaeId) -> Way | None:
        """The way to this SAE; None for one that is in no other domain that is known."""
        if not self._patterns:
            return self._exact.get(sae)
        if sae not in self._found:
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            matching = (way for pattern, way in self._patterns if pattern.fullmatch(sae))
            self._found[sae] = self._exact.get(sae) or next(matching, None)
        return self._found[sae]
