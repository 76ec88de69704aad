"""What has just failed is avoided for a while, and used all the same when there is nothing else."""

from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.network.topology.edges import Hop

AVOIDED_S = 10.0
REMEMBERED = 1024


class Failure(NamedTuple):
    """Why, and when it is forgotten (monotonic)."""

    reason: str
    until: float


class Failures:
    """Of nodes, and of edges in one direction. `version` changes with them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._recent: dict[KmeId | Hop, Failure] = {}
        self.version = 0

    def note(self, what: KmeId | Hop, reason: str) -> None:
        """It has failed just now."""
        self._recent.pop(what, None)
        self._recent[what] = Failure(reason, self._clock.monotonic() + AVOIDED_S)
        if len(self._recent) > REMEMBERED:
            del self._recent[next(iter(self._recent))]
        self.version += 1

    def forget_old(self) -> None:
        """Time has passed."""
        now = self._clock.monotonic()
        while self._recent and self._recent[oldest := next(iter(self._recent))].until <= now:
            del self._recent[oldest]
            self.version += 1

    def recent(self) -> dict[KmeId | Hop, str]:
        """What is avoided now, and why."""
        return {what: failure.reason for what, failure in self._recent.items()}

    def count(self, node: KmeId, peer: KmeId) -> int:
        """How many speak against this edge: its own, and that of the node it leads to."""
        return ((node, peer) in self._recent) + (peer in self._recent)
