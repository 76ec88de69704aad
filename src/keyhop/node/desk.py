"""The operators' desk: what they see of a node and may do to it, behind the management API."""

import os
from importlib.metadata import version

from keyhop.core.errors import LinkError
from keyhop.core.ids import KmeId, LinkId
from keyhop.link.adapter import Disturbance
from keyhop.node.credentials import Credentials
from keyhop.node.network_state import NetworkState
from keyhop.node.node_links import NodeLinks
from keyhop.node.policy.check import check_kme
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion
from keyhop.node.state import (
    AuditInfo,
    GatewayInfo,
    LinkActivity,
    LinkInfo,
    LinkSample,
    NodeInfo,
    PeerInfo,
    Readiness,
    RelayInfo,
    StreamInfo,
    TopologyInfo,
)
from keyhop.node.telemetry import Metrics
from keyhop.service.kme import Kme


class Desk:
    """A `state.NodeControl`."""

    def __init__(
        self,
        me: KmeId,
        started_at: float,
        kme: Kme,
        links: NodeLinks,
        network: NetworkState,
        credentials: Credentials,
        metrics: Metrics,
        *,
        lab: bool,
    ) -> None:
        """`lab` says that lines may be disturbed."""
        self._me = me
        self._started_at = started_at
        self._kme = kme
        self._links = links
        self._network = network
        self._credentials = credentials
        self._metrics = metrics
        self._lab = lab

    def node(self) -> NodeInfo:
        """GET /v1/node."""
        return NodeInfo(
            self._me,
            version("keyhop"),
            self._started_at,
            os.getpid(),
            witness=self._kme.witness is not None,
            restored=self._kme.restored,
        )

    def links(self) -> list[LinkInfo]:
        """GET /v1/links."""
        return self._network.links()

    def link(self, link: LinkId) -> LinkInfo:
        """GET /v1/links/LINK. KeyError when there is none of that ID, as in what follows."""
        return self._links[link].info()

    def link_series(self, link: LinkId) -> list[LinkSample]:
        """GET /v1/links/LINK/series."""
        return self._links[link].series()

    def link_activity(self, link: LinkId) -> list[LinkActivity]:
        """GET /v1/links/LINK/activity."""
        return self._links[link].activity()

    def link_disturbance(self, link: LinkId) -> Disturbance:
        """GET /v1/links/LINK/disturbance. LinkError when its line is not simulated."""
        return self._links[link].disturbance()

    async def start_link(self, link: LinkId) -> None:
        """POST /v1/links/LINK/start. Raises LinkError."""
        await self._links[link].start()

    async def stop_link(self, link: LinkId) -> None:
        """POST /v1/links/LINK/stop: until it is started, or the node is."""
        await self._links[link].stop()

    def disturb_link(self, link: LinkId, disturbance: Disturbance) -> None:
        """POST /v1/links/LINK/disturbance. LinkError outside a lab, or when its line is not simulated."""
        if not self._lab:
            raise LinkError("only in a lab: [node] lab is not true")
        self._links[link].disturb(disturbance)

    def streams(self) -> list[StreamInfo]:
        """GET /v1/streams."""
        return self._network.streams()

    def peers(self) -> list[PeerInfo]:
        """GET /v1/peers."""
        return self._network.peers()

    def topology(self) -> TopologyInfo:
        """GET /v1/topology."""
        return self._network.topology()

    def gateways(self) -> list[GatewayInfo]:
        """GET /v1/gateways."""
        return self._network.gateways()

    def relay(self) -> RelayInfo:
        """GET /v1/relay."""
        return self._network.relay()

    def audit(self) -> AuditInfo:
        """GET /v1/audit."""
        return self._network.audit()

    def policy(self, question: PolicyQuestion) -> PolicyCheck:
        """GET /v1/policy."""
        return check_kme(self._kme, self._me, [(link.peer, link.kind) for link in self._network.links()], question)

    def readiness(self) -> Readiness:
        """GET /readyz."""
        network, troubles = self._network.readiness(), self._credentials.troubles()
        return Readiness(network.ready and not troubles, troubles + network.missing)

    def metrics(self) -> bytes:
        """GET /metrics."""
        return self._metrics.render()
