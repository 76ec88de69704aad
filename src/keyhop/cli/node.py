"""`keyhop node`: one KME as a process, its configuration, and what it says of itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from keyhop.cli.node_settings import shown, summary_of
from keyhop.cli.output import print_json, print_note, print_table
from keyhop.core.clock import SystemClock
from keyhop.node.state import (
    ACCOUNTS,
    GatewayInfo,
    LinkInfo,
    NodeInfo,
    PeerInfo,
    Readiness,
    StreamInfo,
    TopologyInfo,
    TopologyNode,
)

if TYPE_CHECKING:
    from keyhop.node.planned import PlannedLink

app = typer.Typer(help="Run a node, check its configuration, ask how it is.", no_args_is_help=True)

Config = Annotated[Path, typer.Option("--config", help="The node's node.toml.", dir_okay=False)]
Url = Annotated[str, typer.Option("--url", help="The node's management address, http://host:port.")]
AsJson = Annotated[bool, typer.Option("--json", envvar="KEYHOP_JSON", help="As JSON.")]


@dataclass(frozen=True, slots=True)
class NodeState:
    """What a node says of itself, page by page."""

    node: NodeInfo
    readiness: Readiness
    links: list[LinkInfo]
    peers: list[PeerInfo]
    streams: list[StreamInfo]
    topology: TopologyInfo
    gateways: list[GatewayInfo]


@app.command()
def run(config: Config) -> None:
    """Run a node until SIGTERM or Ctrl-C; SIGHUP reads the configuration again."""
    from keyhop.node.daemon import run as run_node

    raise typer.Exit(run_node(config))


@app.command()
def check(config: Config, as_json: AsJson = False) -> None:
    """Say whether a node could start with a configuration, and what it makes of the node."""
    from keyhop.node.config import load_config
    from keyhop.node.planned import planned_links
    from keyhop.node.preflight import preflight

    found = load_config(config)
    preflight(found, SystemClock())
    summary = summary_of(found)
    plans = planned_links(found)
    if as_json:
        print_json(summary | {"planned": msgspec.to_builtins(plans)})
    else:
        print_table(("setting", "value"), [(name, shown(value)) for name, value in summary.items()])
        if plans:
            columns = ("bb84 link", "expected SBR kbit/s", "QBER %", "seconds per round")
            print_table(columns, [_plan_row(plan) for plan in plans])
        print_note(f"{config} can be used")
    if found.store.kind == "sqlite" and found.store.witness is None:
        print_note("[store] witness is not set: backups of both ends that are restored together are not found out")
    for plan in plans:
        if plan.warning:
            print_note(plan.warning)


@app.command()
def status(url: Url, as_json: AsJson = False) -> None:
    """Show a running node: its links, peers and key streams. Exit 1 when it is not ready."""
    state = _ask(url)
    if as_json:
        print_json(msgspec.to_builtins(state))
    else:
        _print_state(state)
    if not state.readiness.ready:
        raise typer.Exit(1)


def _ask(url: str) -> NodeState:
    from keyhop.management import Management  # not needed by a node that starts, and slow to import

    node = Management(url)
    return NodeState(
        node=node.node(),
        readiness=node.readiness(),
        links=node.links(),
        peers=node.peers(),
        streams=node.streams(),
        topology=node.topology(),
        gateways=node.gateways(),
    )


def _print_state(state: NodeState) -> None:
    node, readiness = state.node, state.readiness
    condition = told_readiness(readiness.ready, readiness.missing)
    print_table(("node", "version", "process", "state"), [(node.id, node.version, node.pid, condition)])
    if node.restored:
        print_note(f"the store that was found at the start is an old copy and was discarded: {node.restored}")
    print_table(
        ("link", "peer", "kind", "state", "SBR kbit/s", "QBER %", "blocks"), [link_row(link) for link in state.links]
    )
    print_table(
        ("peer", "link", "connected", "synchronised", "relay"),
        [
            (peer.id, _yes(peer.neighbour), _yes(peer.connected), _yes(peer.synchronised), peer.relay_trouble or "-")
            for peer in state.peers
        ],
    )
    _print_topology(state.topology)
    if state.gateways:
        columns = ("gateway", "url", "state", "keys sent", "keys received")
        print_table(columns, [_gateway_row(gateway) for gateway in state.gateways])
    print_table(
        ("stream, in bytes", "route", "role", "epoch", *ACCOUNTS, "runway s", "balanced"),
        [_stream_row(end) for end in state.streams],
    )


def _print_topology(topology: TopologyInfo) -> None:
    print_table(("KME", "reachable over QKD links", "heard of, s ago"), map(_topology_row, topology.nodes))
    if topology.unreachable:
        parts = "; ".join(", ".join(part) for part in topology.parts)
        print_note(f"the network is partitioned, or nodes are down; its parts: {parts}")


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


def _plan_row(plan: "PlannedLink") -> tuple[str, ...]:
    qber = "-" if plan.qber is None else f"{100 * plan.qber:.2f}"
    round_s = "-" if plan.round_s is None else f"{plan.round_s:.3g}"
    return (plan.link, f"{plan.secret_bps / 1000:.1f}", qber, round_s)


def _topology_row(kme: TopologyNode) -> tuple[object, ...]:
    return (kme.id, _yes(kme.reachable), "-" if kme.heard_s is None else f"{kme.heard_s:.1f}")


def _gateway_row(gateway: GatewayInfo) -> tuple[object, ...]:
    condition = gateway.trouble or ("reachable" if gateway.reachable else "not called yet")
    return (gateway.id, gateway.url, condition, gateway.sent.get("relayed", 0), gateway.received.get("relayed", 0))


def _stream_row(end: StreamInfo) -> tuple[object, ...]:
    accounts = (getattr(end, account) for account in ACCOUNTS)
    runway = "-" if end.runway_s is None else f"{end.runway_s:.0f}"
    return (f"{end.owner}→{end.follower}", end.route, end.role, end.epoch, *accounts, runway, _yes(end.balanced))


def _yes(value: bool) -> str:
    return "yes" if value else "no"
