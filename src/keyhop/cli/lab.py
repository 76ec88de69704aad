"""`keyhop lab`: whole networks of real nodes on this machine."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from keyhop.lab import Lab, NodeState
from keyhop.lab.lab import READY_TIMEOUT_S

app = typer.Typer(help="Whole networks of real nodes on this machine.", no_args_is_help=True)

Directory = Annotated[Path, typer.Option("--dir", help="The directory of the lab.", file_okay=False)]
Timeout = Annotated[float, typer.Option(help="Seconds to wait until the nodes are ready.", min=0.0)]

_WATCH_S = 1.0


@app.command()
def up(
    topology: Annotated[
        str, typer.Argument(help="A topology file, or the name of a shipped one: two-sites.")
    ],
    directory: Directory,
    detach: Annotated[bool, typer.Option("--detach", help="Leave the nodes running and return.")] = False,
    timeout: Timeout = READY_TIMEOUT_S,
) -> None:
    """Start a network, or bring back the one that DIR holds."""
    stop_on_signals()
    try:
        lab = Lab.up(topology, directory, timeout_s=timeout, progress=report)
        print_state(lab.state())
    except KeyboardInterrupt:
        raise typer.Exit(1) from None
    if detach:
        report(f"stop it with: keyhop lab down --dir {directory}")
    else:
        stay(lab)


@app.command()
def status(
    directory: Directory,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show the nodes and their links."""
    state = Lab.load(directory).state()
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode({"kmes": state}), indent=2).decode() + "\n")
    else:
        print_state(state)


@app.command()
def start(
    node: Annotated[str, typer.Argument(help="The ID of the node's KME.")],
    directory: Directory,
    timeout: Timeout = READY_TIMEOUT_S,
) -> None:
    """Bring back a node that was stopped or killed."""
    pid = Lab.load(directory).start(node, timeout_s=timeout)
    report(f"{node} is ready, process {pid}")


@app.command()
def down(directory: Directory) -> None:
    """Stop all nodes; keys, certificates and ports are kept for the next `up`."""
    Lab.load(directory).down()
    report("all nodes are down")


def report(message: str) -> None:
    """Progress, on stderr."""
    Console(stderr=True, highlight=False).print(message, style="dim", markup=False, soft_wrap=True)


def stop_on_signals() -> None:
    """Make SIGTERM and a closed terminal end a command as Ctrl-C does, so that it can stop its nodes."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def stay(lab: Lab) -> None:
    """Keep a lab up until Ctrl-C or SIGTERM, saying which nodes end and come back; then stop it."""
    report(f"running in {lab.directory}; Ctrl-C stops it")
    running = lab.running()
    try:
        while True:
            time.sleep(_WATCH_S)
            now = lab.running()
            for node in [node for node in running if node not in now]:
                report(f"{node} has ended; bring it back with: keyhop lab start {node} --dir {lab.directory}")
            for node in [node for node in now if node not in running]:
                report(f"{node} is back")
            running = now
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave nodes behind
        report("stopping the nodes")
    lab.down()


def print_state(state: list[NodeState]) -> None:
    """The nodes as a table on a terminal, as plain lines when piped."""
    console = Console(highlight=False)
    rows = [_row(node) for node in state]
    if not console.is_terminal:
        console.print(os.linesep.join("\t".join(row) for row in rows), markup=False, soft_wrap=True)
        return
    table = Table("node", "process", "state", "ETSI 014", "management", "links")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _row(node: NodeState) -> tuple[str, ...]:
    condition = "ready" if node.ready else f"not ready: {'; '.join(node.not_ready)}"
    links = ", ".join(f"{link.id} {link.state}" for link in node.links)
    return (node.id, str(node.pid or "-"), condition, node.etsi014_url, node.management_url, links)
