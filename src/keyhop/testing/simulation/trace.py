"""What happened, in its order: cheap to note, told only when somebody asks.

An entry is (virtual seconds, where, what, details). Two runs of one schedule have the same entries to the last byte;
`digest` compares them without keeping them.
"""

import hashlib
from collections import Counter
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One thing that happened. `what` names it; what the details are depends on that, see `story`."""

    at: float
    where: str
    what: str
    details: tuple[Any, ...]


class Trace:
    """The entries of one run, and how often each kind of thing happened."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.counts: Counter[str] = Counter()

    def note(self, at: float, where: str, what: str, *details: Any) -> None:
        """Something happened."""
        self.entries.append(Entry(at, where, what, details))
        self.counts[what] += 1

    def digest(self) -> str:
        """SHA-256 over all entries."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(repr(tuple(entry)).encode())
        return digest.hexdigest()
