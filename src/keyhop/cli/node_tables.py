"""What a node says of itself, as rows of tables."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from keyhop.node.state import ACCOUNTS, GatewayInfo, LinkInfo, PeerInfo, PskInfo, StreamInfo, TopologyNode

if TYPE_CHECKING:
    from keyhop.node.planned import PlannedLink


def told_readiness(ready: bool, missing: list[str]) -> str:
    """`ready`; with what is missing, if anything is."""
    if not missing:
        return "ready" if ready else "not ready"
    return f"{'ready, but' if ready else 'not ready:'} {'; '.join(missing)}"


def link_row(link: LinkInfo) -> tuple[object, ...]:
    """Link, peer, kind, state, SBR in kbit/s, QBER in per cent, blocks."""
    kind = f"{link.kind} (no physics)" if link.physics is False else link.kind
    condition = f"{link.state}: {link.reason}" if link.reason else link.state
    qber = "-" if link.qber is None else f"{100 * link.qber:.2f}"
    return (link.id, link.peer, kind, condition, f"{link.sbr_bps / 1000:.1f}", qber, link.blocks)


def plan_row(plan: "PlannedLink") -> tuple[str, ...]:
    """What a bb84 link will give: link, SBR in kbit/s, QBER in per cent, seconds per round."""
    qber = "-" if plan.qber is None else f"{100 * plan.qber:.2f}"
    round_s = "-" if plan.round_s is None else f"{plan.round_s:.3g}"
    return (plan.link, f"{plan.secret_bps / 1000:.1f}", qber, round_s)


def peer_row(peer: PeerInfo) -> tuple[object, ...]:
    """Peer, and how it is: by a link, connected, synchronised, known by what, relayed to."""
    states = (_yes(peer.neighbour), _yes(peer.connected), _yes(peer.synchronised))
    return (peer.id, *states, _known_by(peer.psk), peer.relay_trouble or "-")


def _known_by(psk: PskInfo | None) -> str:
    if psk is None:
        return "certificate"
    if psk.refreshed_at is None:
        told = "PSK of the file"
    else:
        told = f"PSK {psk.generation} of {datetime.fromtimestamp(psk.refreshed_at, UTC):%Y-%m-%d %H:%M:%SZ}"
    if psk.in_use != psk.generation:
        told += f", connected with {psk.in_use}"
    return f"{told}, not refreshed: {psk.trouble}" if psk.trouble else told


def topology_row(kme: TopologyNode) -> tuple[object, ...]:
    """KME, whether it is reachable, how long ago it was heard of."""
    return (kme.id, _yes(kme.reachable), "-" if kme.heard_s is None else f"{kme.heard_s:.1f}")


def gateway_row(gateway: GatewayInfo) -> tuple[object, ...]:
    """KMS of another domain: name, URL, state, keys sent and received."""
    condition = gateway.trouble or ("reachable" if gateway.reachable else "not called yet")
    return (gateway.id, gateway.url, condition, gateway.sent.get("relayed", 0), gateway.received.get("relayed", 0))


STREAM_COLUMNS = ("peer", "route", "role", "available bytes", "coming B/s", "going B/s", "runway s")


def stream_row(end: StreamInfo) -> tuple[object, ...]:
    """One end of a stream, in `STREAM_COLUMNS`: what it holds, and how that changes."""
    changes = (_whole(each) for each in (end.coming_per_s, end.going_per_s, end.runway_s))
    return (_other_end(end), end.route, end.role, end.available, *changes)


ACCOUNT_COLUMNS = ("peer", "route", "role", "epoch", *ACCOUNTS, "balanced")


def accounts_row(end: StreamInfo) -> tuple[object, ...]:
    """One end of a stream, in `ACCOUNT_COLUMNS`: where every byte of it went."""
    accounts = (getattr(end, account) for account in ACCOUNTS)
    return (_other_end(end), end.route, end.role, end.epoch, *accounts, _yes(end.balanced))


def _other_end(end: StreamInfo) -> str:
    return end.follower if end.role == "owner" else end.owner


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
