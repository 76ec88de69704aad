"""What a node says of the network around it: its topology, relay, and the domains that it is joined to."""

from dataclasses import dataclass

from keyhop.core.ids import KmeId


@dataclass(frozen=True, slots=True)
class TopologyNode:
    """A KME of the network; `reachable` over QKD links from here. `heard_s` ago it said what is known of its links."""

    id: KmeId
    reachable: bool
    heard_s: float | None


@dataclass(frozen=True, slots=True)
class TopologyEdge:
    """QKD links between neighbours that are up, in one direction; the accounts are those of the `source`."""

    source: KmeId
    target: KmeId
    stock_bytes: int
    rate_bps: int
    priority: int


@dataclass(frozen=True, slots=True)
class AvoidedEdge:
    """A node, or an edge as `source→target`, that relay goes around for some seconds."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class TopologyInfo:
    """The network as this node sees it. Between its `parts`, the first of them this node's, no QKD links are up."""

    nodes: list[TopologyNode]
    edges: list[TopologyEdge]
    parts: list[list[KmeId]]
    avoided: list[AvoidedEdge]

    @property
    def unreachable(self) -> list[KmeId]:
        """The KMEs to which no QKD links lead from here."""
        return [node.id for node in self.nodes if not node.reachable]


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """A KMS of another domain that this node is joined to.

    `reachable` is None before the first call; `acknowledgements` and `voids` wait to be taken by it; `sent` and
    `received` count keys by what became of them, since the start.
    """

    id: KmeId
    url: str
    edition: str
    reachable: bool | None
    trouble: str | None
    versions: list[str]
    acknowledgements: int
    voids: int
    sent: dict[str, int]
    received: dict[str, int]


@dataclass(frozen=True, slots=True)
class Fairness:
    """Jain's index over the relayed streams of one priority, of what part of what was asked for was there lately."""

    priority: int
    jains_index: float


@dataclass(frozen=True, slots=True)
class RelayInfo:
    """How this node's keys travel to KMEs over others; and the highest priority that what each of them sends over this
    one has here."""

    strategy: str
    buffering: str
    fairness: list[Fairness]
    most_priorities: dict[KmeId, int]
