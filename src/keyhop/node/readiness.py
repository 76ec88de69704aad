"""Whether a node serves, and what it lacks: it is ready while there are keys for one KME or other domain at least."""

from collections.abc import Collection, Iterable, Sequence

from keyhop.core.ids import KmeId
from keyhop.network.pair import Pair
from keyhop.network.peer import Peer
from keyhop.node.state import GatewayInfo, LinkInfo, Readiness
from keyhop.service.kme import Kme


def readiness(kme: Kme, links: Iterable[LinkInfo], gateways: Sequence[GatewayInfo]) -> Readiness:
    """A site that is down keeps nobody from the others; a link that gives no key counts against the KME at its end."""
    if kme.journal.failure is not None:
        return Readiness(False, ["store: failed"])
    resting = [link for link in links if link.state != "generating"]
    lacking = {peer.id: missing for peer in kme.peers.values() if (missing := _missing(kme, peer))}
    troubled = lacking.keys() | {link.peer for link in resting}
    others = [_is_served(peer, troubled) for peer in kme.peers.values()]
    others += [not gateway.trouble for gateway in gateways]
    told = [f"link {link.id}: {link.reason or link.state}" for link in resting]
    told += lacking.values()
    told += [f"gateway {gateway.id}: {gateway.trouble}" for gateway in gateways if gateway.trouble]
    return Readiness(any(others) or not others, told)


def _is_served(peer: Peer, troubled: Collection[KmeId]) -> bool:
    """Stock that came over others is given out whatever has become of the way since. A KME that is reached over others,
    and for which nothing is kept, is served as long as some neighbour is."""
    if peer.relayed.owned.stock_units:
        return _out_of_touch(peer) is None
    return peer.direct is not None and peer.id not in troubled


def _out_of_touch(peer: Peer) -> str | None:
    """Why keys in stock cannot be given out."""
    if peer.relayed.session.theirs.alarm:
        return f"peer {peer.id}: two nodes claim to be it"
    if peer.relayed.session.ours.alarm:
        return f"peer {peer.id}: another node claims to be this one"
    if not peer.connected or peer.trouble:
        return f"peer {peer.id}: not connected" + (f" ({peer.trouble})" if peer.trouble else "")
    if not peer.synchronised:
        return f"peer {peer.id}: not synchronised"
    return None


def _missing(kme: Kme, peer: Peer) -> str | None:
    if reason := _out_of_touch(peer):
        return reason
    if peer.direct and (reason := _missing_of_link(peer.direct)):
        return reason
    if peer.id in kme.view.unreachable:
        return f"KME {peer.id}: no path of QKD links leads to it"
    return _missing_relayed(kme, peer)


def _missing_relayed(kme: Kme, peer: Peer) -> str | None:
    """Of a KME without a link to this one, whose stream is to be kept filled."""
    if peer.direct is not None or kme.feeder.marks(peer.id) is None or peer.relayed.owned.stock_units:
        return None
    trouble = kme.feeder.trouble(peer.id)
    return f"stream to {peer.id}: no key" + (f" ({trouble})" if trouble else "")


def _missing_of_link(pair: Pair) -> str | None:
    if pair.filling.mismatch:
        return (
            f"link to {pair.peer}: the two ends do not have the same blocks (secret, rate and block size must agree), "
            "or the link is off there"
        )
    if not pair.owned.available_units and not pair.owned.leased_units:
        return f"stream to {pair.peer}: no key"
    return None
