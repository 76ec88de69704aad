"""Which paths a parcel takes: the plan, or why there is none."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from keyhop.core.ids import KmeId
from keyhop.core.origin import Path, label
from keyhop.core.priority import USUAL_PRIORITY
from keyhop.network.relay.messages import Strategy
from keyhop.network.relay.parcels import Plan, source_kind

HOP_BYTES = 96
"""What a parcel costs each link beside its data: keys and guard of the relay, and the MAC of the hop."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How keys may be relayed to a KME.

    With `secret-shared`, over `paths` node-disjoint paths if there are so many, over `least_paths` at least;
    `threshold` of the shares are enough for the key, 0: all are needed.
    """

    strategy: Strategy = "hop-by-hop"
    paths: int = 1
    least_paths: int = 1
    threshold: int = 0
    priority: int = USUAL_PRIORITY

    @property
    def needed(self) -> int:
        """On how many paths somebody has to be at least, to learn a key."""
        return self.threshold or max(2, self.least_paths) if self.strategy == "secret-shared" else 1

    @property
    def source(self) -> str:
        """What the bytes that come so are said to be made by, but for the paths."""
        return label(source_kind(self.strategy), (), self.needed)

    @property
    def strictness(self) -> tuple[int, int]:
        """Of two ways the one with more is stricter."""
        return self.needed, self.least_paths


class Routes(Protocol):
    """What is known of the network's paths."""

    def paths(
        self,
        source: KmeId,
        destination: KmeId,
        count: int = 1,
        *,
        need_bytes: int = 0,
        exclude: "Iterable[KmeId | tuple[KmeId, KmeId]]" = (),
    ) -> tuple[Path, ...]:
        """Node-disjoint paths, the cheapest first."""
        ...

    def leads(self, path: Path) -> bool:
        """Whether all edges of a path are up."""
        ...

    def spare_bytes(self, path: Path) -> int:
        """What the edge of a path that has least has now for keys of others."""
        ...

    def failed(self, what: "KmeId | tuple[KmeId, KmeId]", reason: str) -> None:
        """A node or an edge did not do what it was asked for."""
        ...


def plan(routes: Routes, me: KmeId, destination: KmeId, terms: Terms, need_bytes: int) -> Plan | str:
    """How a parcel travels now, or why it cannot.

    Not along the link that joins the two, if there is one: what comes over that is in their direct stream. As one of
    several shares it may.
    """
    sharing = terms.strategy == "secret-shared"
    own_link = () if sharing else ((me, destination),)
    found = routes.paths(
        me, destination, terms.paths if sharing else 1, need_bytes=need_bytes + HOP_BYTES, exclude=own_link
    )
    if not found:
        beyond = " has key enough" if routes.paths(me, destination, exclude=own_link) else ""
        return f"no path of QKD links to KME {destination}{beyond}"
    if not sharing:
        return Plan(terms.strategy, found)
    least = max(2, terms.least_paths, terms.threshold)
    if len(found) < least:
        return f"{least} node-disjoint paths to KME {destination} are needed, and {len(found)} known"
    return Plan(terms.strategy, found, terms.threshold or len(found))
