"""What the metrics and the management API ask of a node."""

from typing import Protocol

from keyhop.core.ids import LinkId
from keyhop.link.adapter import Disturbance
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion
from keyhop.node.state.itself import AuditInfo, NodeInfo, Readiness
from keyhop.node.state.links import LinkActivity, LinkInfo, LinkSample
from keyhop.node.state.network import GatewayInfo, RelayInfo, TopologyInfo
from keyhop.node.state.peers import PeerInfo, StreamInfo


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
