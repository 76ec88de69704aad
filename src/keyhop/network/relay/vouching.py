"""Whose parcels a node forwards, as far as it can know: a neighbour may say that they are anybody's.

The source tells the nodes of a path, in its own sessions with them, what it sends over which of their neighbours. What
it has not told of is the neighbour's own: so a neighbour that lies takes from nobody but itself, and from those whose
parcels come through it.
"""

from itertools import pairwise
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.core.origin import Path
from keyhop.network.relay.memory import ITEM_BYTES, Remembered
from keyhop.network.relay.messages import Forward, Vouch
from keyhop.network.relay.nodes import Nodes
from keyhop.network.relay.parcels import Flow

AGAIN_S = 5.0
VOUCHED_S = 30.0
MAX_VOUCHED = 1024
"""For each source."""


class _Told(NamedTuple):
    node: KmeId
    message: Vouch


class Vouching:
    """Of one KME: what it told others of its own parcels, and what it was told of theirs."""

    def __init__(self, nodes: Nodes, clock: Clock) -> None:
        self._nodes = nodes
        self._clock = clock
        self._told: dict[_Told, float] = {}
        self._heard: dict[KmeId, Remembered[Vouch, None]] = {}

    def tell(self, path: Path, priority: int) -> None:
        """A share of this KME's leaves on that path; the first node sees itself whose it is."""
        now = self._clock.monotonic()
        for before, node in pairwise(path[1:-1]):
            told = _Told(node, Vouch(before, path[-1], priority))
            if self._told.get(told, -AGAIN_S) <= now - AGAIN_S:
                self._told[told] = now
                self._nodes.tell(*told)

    def heard(self, source: KmeId, message: Vouch) -> None:
        """A source tells of its own."""
        of_source = self._heard.setdefault(source, Remembered(MAX_VOUCHED * ITEM_BYTES, VOUCHED_S))
        of_source.put(message, None, 0, self._clock.monotonic())

    def flow(self, peer: KmeId, message: Forward) -> Flow:
        """What the pad is for that this message needs, which came from a neighbour."""
        source, destination = KmeId(message.route[0]), KmeId(message.route[-1])
        vouched = peer == source or self._is_vouched(source, Vouch(peer, destination, message.priority))
        return Flow(peer, source if vouched else peer, destination, message.priority)

    def tick(self) -> None:
        """Forgets what is old."""
        now = self._clock.monotonic()
        self._told = {told: at for told, at in self._told.items() if at > now - AGAIN_S}
        for of_source in self._heard.values():
            of_source.expire(now)

    def _is_vouched(self, source: KmeId, message: Vouch) -> bool:
        of_source = self._heard.get(source)
        return of_source is not None and message in of_source
