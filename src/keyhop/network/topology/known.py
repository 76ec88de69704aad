"""What other nodes have said, bounded: whoever tells much of nodes that do not exist leaves room for others."""

from collections import Counter
from typing import NamedTuple

from keyhop.core.ids import KmeId
from keyhop.network.topology.reports import NodeReport

MAX_NODES = 4096
MAX_WEIGHT = 1 << 16
"""Nodes and links, of hearsay in all. A half at most comes from one peer."""


class Entry(NamedTuple):
    """`source` is the peer that told us, `said_at` when the node itself said it (monotonic), by what we were told."""

    report: NodeReport
    source: KmeId
    said_at: float

    @property
    def weight(self) -> int:
        """What it takes of the room for hearsay; a peer's own word takes none."""
        return 0 if self.source == self.report.node else 1 + len(self.report.links)


class Known:
    """The newest report of each other node."""

    def __init__(self) -> None:
        self.entries: dict[KmeId, Entry] = {}
        self._weights: Counter[KmeId] = Counter()

    def put(self, entry: Entry) -> bool:
        """Takes the place of what was known of that node; False, and nothing has changed, when there is no room."""
        node = entry.report.node
        before = self.entries.get(node)
        if entry.weight and not self._has_room(entry, before):
            return False
        self.remove(node)
        self.entries[node] = entry
        self._weights[entry.source] += entry.weight
        return True

    def remove(self, node: KmeId) -> None:
        """Nothing is known of it any more."""
        entry = self.entries.pop(node, None)
        if entry is not None:
            self._weights[entry.source] -= entry.weight
            if not self._weights[entry.source]:
                del self._weights[entry.source]

    def _has_room(self, entry: Entry, before: Entry | None) -> bool:
        if before is None and len(self.entries) >= MAX_NODES:
            return False
        freed = before.weight if before else 0
        freed_of_source = freed if before and before.source == entry.source else 0
        total, of_source = self._weights.total() - freed, self._weights[entry.source] - freed_of_source
        return total + entry.weight <= MAX_WEIGHT and of_source + entry.weight <= MAX_WEIGHT // 2
