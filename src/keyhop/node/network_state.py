"""What the management API and the metrics tell of a Node. Reads only."""

from collections.abc import Iterable, Mapping

import msgspec

from keyhop.audit.log import AuditLog
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.streams import FollowedStream, OwnedStream
from keyhop.network.pair import Pair
from keyhop.node.node_link import NodeLink
from keyhop.node.state import AuditInfo, LinkInfo, PeerInfo, StreamInfo


class NetworkState:
    """The links, streams, peers and audit log of one node."""

    def __init__(
        self, pairs: Mapping[KmeId, Pair], links: Iterable[NodeLink], journal: Journal, audit: AuditLog
    ) -> None:
        self._audit = audit
        self._pairs = pairs
        self._links = links
        self._journal = journal

    def links(self) -> list[LinkInfo]:
        """GET /v1/links."""
        return [link.info() for link in self._links]

    def streams(self) -> list[StreamInfo]:
        """GET /v1/streams: both ends that this node has of the streams with each peer."""
        return [end for pair in self._pairs.values() for end in (_end(pair.owned), _end(pair.followed))]

    def peers(self) -> list[PeerInfo]:
        """GET /v1/peers."""
        return [_peer(peer, pair) for peer, pair in self._pairs.items()]

    def audit(self) -> AuditInfo:
        """GET /v1/audit."""
        return AuditInfo(self._audit.records, self._audit.head)

    def readiness(self) -> list[str]:
        """What keeps the node from serving; empty when it is ready."""
        if self._journal.failure is not None:
            return ["store: failed"]
        links = [f"link {link.id}: {link.reason or link.state}" for link in self.links() if link.state != "generating"]
        return links + [reason for peer, pair in self._pairs.items() if (reason := _missing(peer, pair))]


def _peer(peer: KmeId, pair: Pair) -> PeerInfo:
    return PeerInfo(peer, pair.connected, pair.synchronised, pair.since, pair.theirs.alarm, pair.ours.alarm)


def _missing(peer: KmeId, pair: Pair) -> str | None:
    if pair.theirs.alarm:
        return f"peer {peer}: two nodes claim to be it"
    if pair.ours.alarm:
        return f"peer {peer}: another node claims to be this one"
    if not pair.connected or pair.trouble:
        return f"peer {peer}: not connected ({pair.trouble})" if pair.trouble else f"peer {peer}: not connected"
    if not pair.synchronised:
        return f"peer {peer}: not synchronised"
    if pair.filling.mismatch:
        return (
            f"link to {peer}: the two ends do not have the same blocks (secret, rate and block size must agree), "
            "or the link is off there"
        )
    if not pair.owned.available_units and not pair.owned.leased_units:
        return f"stream to {peer}: no key"
    return None


def _end(stream: OwnedStream | FollowedStream) -> StreamInfo:
    return StreamInfo(
        owner=stream.ref.owner,
        follower=stream.ref.follower,
        role="owner" if isinstance(stream, OwnedStream) else "follower",
        epoch=stream.epoch,
        available=stream.available_bytes,
        **msgspec.structs.asdict(stream.ledger),
        balanced=stream.ledger.balances(stream.available_bytes),
    )
