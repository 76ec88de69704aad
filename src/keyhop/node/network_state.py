"""What the management API and the metrics tell of a Node. Reads only."""

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from keyhop.audit.log import AuditLog
from keyhop.core.ids import KmeId
from keyhop.core.streams import FollowedStream, OwnedStream
from keyhop.network.pair import Pair
from keyhop.network.peer import Peer
from keyhop.network.topology.edges import Hop
from keyhop.node.node_gateway import NodeGateway
from keyhop.node.node_link import NodeLink
from keyhop.node.readiness import readiness
from keyhop.node.state import (
    AuditInfo,
    AvoidedEdge,
    Fairness,
    GatewayInfo,
    LinkInfo,
    PeerInfo,
    PskInfo,
    Readiness,
    RelayInfo,
    StreamInfo,
    TopologyEdge,
    TopologyInfo,
    TopologyNode,
)
from keyhop.service.kme import Kme


class NetworkState:
    """The links, streams, peers, network and audit log of one node."""

    def __init__(self, kme: Kme, links: Iterable[NodeLink], gateway: NodeGateway, audit: AuditLog) -> None:
        self._kme = kme
        self._peers = kme.peers
        self._gateway = gateway
        self._links = links
        self._audit = audit

    def links(self) -> list[LinkInfo]:
        """GET /v1/links."""
        return [link.info() for link in self._links]

    def streams(self) -> list[StreamInfo]:
        """GET /v1/streams: the ends that this node has of the streams with each peer, and of those that are relayed
        the ones that ever held anything."""
        pairs = [pair for peer in self._peers.values() for pair in peer.pairs]
        ends = [end for pair in pairs for end in (self._owned(pair), _end(pair.followed))]
        return [end for end in ends if end.produced or end.route == "direct"]

    def peers(self) -> list[PeerInfo]:
        """GET /v1/peers."""
        return [self._peer(peer) for peer in self._peers.values()]

    def topology(self) -> TopologyInfo:
        """GET /v1/topology."""
        view, heard = self._kme.view, self._kme.gossip.known()
        reachable = view.reachable
        others = sorted(reachable | view.unreachable)
        return TopologyInfo(
            [TopologyNode(node, node in reachable, heard.get(node)) for node in others],
            [TopologyEdge(*hop, edge.stock_bytes, edge.rate_bps, edge.priority) for hop, edge in view.edges()],
            [sorted(part) for part in view.parts],
            [AvoidedEdge(_told(what), reason) for what, reason in view.failures().items()],
        )

    def relay(self) -> RelayInfo:
        """GET /v1/relay."""
        feeder = self._kme.feeder
        shares = [Fairness(priority, index) for priority, index in feeder.fairness().items()]
        return RelayInfo(
            self._kme.settings.now.terms.strategy,
            feeder.options.buffering,
            shares,
            dict(self._kme.settings.now.most_priorities),
        )

    def audit(self) -> AuditInfo:
        """GET /v1/audit."""
        return AuditInfo(self._audit.records, self._audit.head)

    def gateways(self) -> list[GatewayInfo]:
        """GET /v1/gateways."""
        return self._gateway.infos()

    def readiness(self) -> Readiness:
        """GET /readyz, as far as the network goes."""
        return readiness(self._kme, self.links(), self.gateways())

    def _owned(self, pair: Pair) -> StreamInfo:
        meter = pair.meter
        marks = self._kme.feeder.marks(pair.peer) if pair.route == "relayed" else None
        return replace(
            _end(pair.owned),
            coming_per_s=meter.coming,
            going_per_s=meter.going,
            runway_s=meter.runway_s,
            low_bytes=marks.low if marks else None,
            high_bytes=marks.high if marks else None,
        )

    def _peer(self, peer: Peer) -> PeerInfo:
        theirs, ours = peer.relayed.session.theirs.alarm, peer.relayed.session.ours.alarm
        trouble, is_neighbour = self._kme.feeder.trouble(peer.id), peer.direct is not None
        return PeerInfo(
            peer.id, peer.connected, peer.synchronised, peer.since, theirs, ours, psk_info(peer), is_neighbour, trouble
        )


def psk_info(peer: Peer) -> PskInfo | None:
    """The key that authenticates a peer, if one does."""
    psk = peer.psk
    if psk is None:
        return None
    trouble = peer.refreshing.trouble if peer.refreshing else None
    return PskInfo(psk.current, psk.in_use, psk.refreshed_at, trouble)


def _told(what: KmeId | Hop) -> str:
    return what if isinstance(what, str) else "→".join(what)


def _end(stream: OwnedStream | FollowedStream) -> StreamInfo:
    return StreamInfo(
        owner=stream.ref.owner,
        follower=stream.ref.follower,
        route=stream.ref.route,
        role="owner" if isinstance(stream, OwnedStream) else "follower",
        epoch=stream.epoch,
        available=stream.available_bytes,
        **msgspec.structs.asdict(stream.ledger),
        balanced=stream.ledger.balances(stream.available_bytes),
    )
