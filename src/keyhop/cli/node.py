"""`keyhop node`: one KME as a process, its configuration, and what it says of itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from keyhop.cli.node_settings import shown, summary_of
from keyhop.cli.node_tables import (
    ACCOUNT_COLUMNS,
    STREAM_COLUMNS,
    accounts_row,
    gateway_row,
    link_row,
    peer_row,
    plan_row,
    stream_row,
    told_readiness,
    topology_row,
)
from keyhop.cli.output import print_json, print_note, print_table
from keyhop.cli.place import LabOption, NodeOption, Url, find_node
from keyhop.core.clock import SystemClock
from keyhop.node.state import (
    GatewayInfo,
    LinkInfo,
    NodeInfo,
    PeerInfo,
    Readiness,
    StreamInfo,
    TopologyInfo,
)

if TYPE_CHECKING:
    from keyhop.management import Management

app = typer.Typer(help="Run a node, check its configuration, ask how it is.", no_args_is_help=True)

Config = Annotated[Path, typer.Option("--config", help="The node's node.toml.", dir_okay=False)]
EveryAccount = Annotated[
    bool, typer.Option("--all", help="Also every account of the key streams: where each byte of them went.")
]
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
            print_table(columns, [plan_row(plan) for plan in plans])
        print_note(f"{config} can be used")
    if found.store.kind == "sqlite" and found.store.witness is None:
        print_note("[store] witness is not set: backups of both ends that are restored together are not found out")
    for plan in plans:
        if plan.warning:
            print_note(plan.warning)


@app.command()
def status(
    context: typer.Context,
    url: Url = None,
    lab: LabOption = None,
    node: NodeOption = None,
    every_account: EveryAccount = False,
    as_json: AsJson = False,
) -> None:
    """Show a running node: its links, peers and key streams. Exit 1 when it is not ready."""
    state = _ask(find_node(context, url, lab, node))
    if as_json:
        print_json(msgspec.to_builtins(state))
    else:
        _print_state(state, every_account)
    if not state.readiness.ready:
        raise typer.Exit(1)


def _ask(node: "Management") -> NodeState:
    return NodeState(
        node=node.node(),
        readiness=node.readiness(),
        links=node.links(),
        peers=node.peers(),
        streams=node.streams(),
        topology=node.topology(),
        gateways=node.gateways(),
    )


def _print_state(state: NodeState, every_account: bool) -> None:
    node, readiness = state.node, state.readiness
    condition = told_readiness(readiness.ready, readiness.missing)
    print_table(("node", "version", "process", "state"), [(node.id, node.version, node.pid, condition)])
    if node.restored:
        print_note(f"the store that was found at the start is an old copy and was discarded: {node.restored}")
    print_table(
        ("link", "peer", "kind", "state", "SBR kbit/s", "QBER %", "blocks"), [link_row(link) for link in state.links]
    )
    print_table(
        ("peer", "link", "connected", "synchronised", "known by", "relay"), [peer_row(peer) for peer in state.peers]
    )
    _print_topology(state.topology)
    if state.gateways:
        columns = ("gateway", "url", "state", "keys sent", "keys received")
        print_table(columns, [gateway_row(gateway) for gateway in state.gateways])
    _print_streams(state.streams, every_account)


def _print_streams(streams: list[StreamInfo], every_account: bool) -> None:
    print_table(STREAM_COLUMNS, map(stream_row, streams))
    if every_account:
        print_table(ACCOUNT_COLUMNS, map(accounts_row, streams))
    if not all(end.balanced for end in streams):
        print_note("a stream is not balanced: a byte is not accounted for, which is a defect; see --all, and report it")


def _print_topology(topology: TopologyInfo) -> None:
    print_table(("KME", "reachable over QKD links", "heard of, s ago"), map(topology_row, topology.nodes))
    if topology.unreachable:
        parts = "; ".join(", ".join(part) for part in topology.parts)
        print_note(f"the network is partitioned, or nodes are down; its parts: {parts}")
