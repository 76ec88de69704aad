"""SAEs of other domains, named one by one or by patterns in which `*` stands for anything, and what leads to them."""

import re
from collections.abc import Iterable

from keyhop.core.ids import KmeId, SaeId

MAX_REMEMBERED = 4096


class ForeignSaes:
    """Names one by one come before patterns, and of patterns the first one counts."""

    def __init__(self, entries: Iterable[tuple[str, KmeId]] = ()) -> None:
        """Each is an ID or a pattern, and the KME or KMS that leads there."""
        entries = tuple(entries)
        self._exact = {SaeId(name): way for name, way in entries if "*" not in name}
        self._patterns = [(_compiled(name), way) for name, way in entries if "*" in name]
        self._found: dict[SaeId, KmeId | None] = {}

    def way_to(self, sae: SaeId) -> KmeId | None:
        """What leads to this SAE; None for one that is in no other domain that is known."""
        if not self._patterns:
            return self._exact.get(sae)
        if sae not in self._found:
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            matching = (way for pattern, way in self._patterns if pattern.fullmatch(sae))
            self._found[sae] = self._exact.get(sae) or next(matching, None)
        return self._found[sae]


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
