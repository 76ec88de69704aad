"""What a node tells its operators, and what they may tell it; the management API and the metrics show exactly this."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from keyhop.core.ids import KmeId, LinkId
from keyhop.core.streams import Route
from keyhop.link.adapter import Attack as Attack
from keyhop.link.adapter import Disturbance as Disturbance
from keyhop.link.adapter import Eavesdropper as Eavesdropper
from keyhop.link.adapter import LinkState
from keyhop.link.adapter import MeasuringBasis as MeasuringBasis
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """Which node this is; `started_at` counts seconds since 1970.

    `witness` says whether the store has one; `restored` why the store that was found at the start is an old copy.
    """

    id: KmeId
    version: str
    started_at: float
    pid: int
    witness: bool = False
    restored: str | None = None


@dataclass(frozen=True, slots=True)
class AuditInfo:
    """How far the audit log has come: its records, and its last seal, which vouches for all of them."""

    records: int
    head: str


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """One link as its end at this node sees it; `sbr_bps` in bits per second, `qber` a fraction.

    `physics` says whether photons, real or simulated, are behind the keys; None where only a vendor can know.
    `alarms` counts since the start of the node; `details` are figures of this kind of link, their units in their names.
    """

    id: LinkId
    peer: KmeId
    kind: str
    physics: bool | None
    state: LinkState
    reason: str | None
    sbr_bps: float
    qber: float | None
    blocks: int
    alarms: int = 0
    details: dict[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkSample:
    """A link at one moment; `at` counts seconds since 1970."""

    at: float
    state: LinkState
    sbr_bps: float
    qber: float | None


@dataclass(frozen=True, slots=True)
class LinkActivity:
    """Something that happened on a link; `at` counts seconds since 1970."""

    at: float
    alarm: bool
    text: str


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One end of a key stream; `route` tells how its bytes came to both ends, `role` is this node's part.

    All accounts are bytes, over the life of this end. Of the owner's end only: what comes and goes, in bytes
    a second over some twenty seconds; `runway_s`, the seconds until the stream is empty if all goes on so, None when it
    does not run out; `low_bytes` and `high_bytes`, between which relay keeps a stream that it feeds.
    """

    owner: KmeId
    follower: KmeId
    route: Route
    role: Literal["owner", "follower"]
    epoch: int
    produced: int
    available: int
    leased: int
    delivered: int
    pad: int
    mac: int
    psk: int
    seed: int
    id_key: int
    voided: int
    expired: int
    burnt: int
    balanced: bool
    coming_per_s: float | None = None
    going_per_s: float | None = None
    runway_s: float | None = None
    low_bytes: int | None = None
    high_bytes: int | None = None


ACCOUNTS = (
    "produced",
    "available",
    "leased",
    "delivered",
    "pad",
    "mac",
    "psk",
    "seed",
    "id_key",
    "voided",
    "expired",
    "burnt",
)


@dataclass(frozen=True, slots=True)
class PskInfo:
    """The key that authenticates a peer: its `generation` counts refreshes, and `in_use` is the one of the connection.

    `refreshed_at`: seconds since 1970, None for the operators' own. `trouble`: why it was not when it was time, None at
    the end that does not decide.
    """

    generation: int
    in_use: int
    refreshed_at: float | None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """Another node; `since` is when `connected` last changed, seconds since 1970, None when it never did.

    `neighbour`: links join it with this node. `relay_trouble`: why no keys are relayed to it, if they should be.
    Of late, `is_two`: two nodes have claimed to be it; `replaced_us`: it was told so of this node. `psk` is
    the key that authenticates it, None when certificates do.
    """

    id: KmeId
    connected: bool
    synchronised: bool
    since: float | None
    is_two: bool = False
    replaced_us: bool = False
    psk: PskInfo | None = None
    neighbour: bool = True
    relay_trouble: str | None = None


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


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the node serves keys for one other KME at least; `missing` names what it lacks for all of them, such as
    `peer bob: not connected`."""

    ready: bool
    missing: list[str]


class NetworkView(Protocol):
    """What the metrics are read from, at the moment of a scrape."""

    def links(self) -> list[LinkInfo]:
        """Every link of the node."""
        ...

    def streams(self) -> list[StreamInfo]:
        """Every end of a stream that the node holds."""
        ...

    def peers(self) -> list[PeerInfo]:
        """Every node that this one should be connected to."""
        ...

    def topology(self) -> TopologyInfo:
        """The network as the node sees it."""
        ...

    def relay(self) -> RelayInfo:
        """How keys are relayed, and how fairly."""
        ...

    def audit(self) -> AuditInfo:
        """How far the audit log has come."""
        ...

    def gateways(self) -> list[GatewayInfo]:
        """Every KMS of another domain that this node is joined to."""
        ...


class NodeView(NetworkView, Protocol):
    """What the management API shows. Called on the node's event loop; must not block."""

    def node(self) -> NodeInfo:
        """Who this is."""
        ...

    def readiness(self) -> Readiness:
        """Whether the node serves, and what it lacks."""
        ...

    def policy(self, question: PolicyQuestion) -> PolicyCheck:
        """Whether two SAEs may have a key now, and why."""
        ...

    def metrics(self) -> bytes:
        """The Prometheus text format."""
        ...

    def link(self, link: LinkId) -> LinkInfo:
        """One link. KeyError when there is none of that ID, as in what follows."""
        ...

    def link_series(self, link: LinkId) -> list[LinkSample]:
        """Its SBR and QBER over time."""
        ...

    def link_activity(self, link: LinkId) -> list[LinkActivity]:
        """What happened on it."""
        ...

    def link_disturbance(self, link: LinkId) -> Disturbance:
        """What its line suffers. LinkError when it is not simulated."""
        ...


class NodeControl(NodeView, Protocol):
    """What operators may do to a node while it runs."""

    async def start_link(self, link: LinkId) -> None:
        """The link shall produce. KeyError, LinkError."""
        ...

    async def stop_link(self, link: LinkId) -> None:
        """The link shall rest, until it is started or the node is. KeyError."""
        ...

    def disturb_link(self, link: LinkId, disturbance: Disturbance) -> None:
        """In a lab: its simulated line suffers this from now on. KeyError, LinkError."""
        ...
