"""`keyhop lab`: whole networks of real nodes on this machine."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from keyhop.cli.lab_foreground import stay, stop_on_signals
from keyhop.cli.lab_to_try import to_try
from keyhop.cli.node_tables import told_readiness
from keyhop.cli.output import print_json, print_note, print_table
from keyhop.lab import Lab, NodeState, NotReady
from keyhop.lab.topology import shipped_topologies
from keyhop.node.state import Attack, Disturbance, Eavesdropper, LinkInfo, MeasuringBasis

app = typer.Typer(help="Whole networks of real nodes on this machine.", no_args_is_help=True)

Directory = Annotated[
    Path, typer.Option("--dir", envvar="KEYHOP_LAB", help="The directory of the lab.", file_okay=False)
]
Timeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds to wait until all is ready. Default: 60, and more for each node and with bb84 links.", min=0.001
    ),
]
Node = Annotated[str, typer.Argument(metavar="NODE", help="The ID of the node's KME.")]
Link = Annotated[str, typer.Argument(metavar="LINK", help="The ID of the link.")]

MAX_LOSS_DB = 100.0


@app.command()
def up(
    topology: Annotated[
        str,
        typer.Argument(
            metavar="TOPOLOGY", help=f"A topology file, or a shipped one: {', '.join(shipped_topologies())}."
        ),
    ],
    directory: Directory,
    detach: Annotated[bool, typer.Option("--detach", help="Leave the nodes running and return.")] = False,
    timeout: Timeout = None,
) -> None:
    """Start a network, or bring back the one that DIR holds."""
    stop_on_signals()
    try:
        lab = Lab.up(topology, directory, timeout_s=timeout, keep_late=detach, progress=print_note)
    except NotReady:
        if detach:
            print_note(f"what runs was left running; see: keyhop lab status --dir {directory}")
            print_note(f"stop it with: keyhop lab down --dir {directory}")
        raise
    if detach:
        _tell(lab, to_try(lab, directory, "in a shell"))
        print_note(f"stop it with: keyhop lab down --dir {directory}")
    else:
        stay(lab, lambda: _tell(lab, to_try(lab, directory, "in another shell")))


@app.command()
def status(
    directory: Directory,
    as_json: Annotated[bool, typer.Option("--json", envvar="KEYHOP_JSON", help="As JSON.")] = False,
) -> None:
    """Show the nodes, what they lack, and their links. Exit 1 when not all are ready."""
    state = Lab.load(directory).state()
    if as_json:
        print_json({"kmes": msgspec.to_builtins(state)})
    else:
        _print_state(state)
    if not all(node.ready for node in state):
        raise typer.Exit(1)


@app.command()
def start(
    node: Node,
    directory: Directory,
    timeout: Timeout = None,
) -> None:
    """Bring back a node that was stopped or killed, and wait until it has keys for all others, if they run."""
    lab = Lab.load(directory)
    pid = lab.start(node, timeout_s=timeout)
    down = lab.stopped()
    state = "runs" if down else "is ready"
    print_note(f"{node} {state}, process {pid}")
    if down:
        print_note(f"these are down: {', '.join(down)}; keyhop lab start NODE --dir {directory}")


@app.command()
def kill(node: Node, directory: Directory) -> None:
    """End a node as `kill -9` does, with no chance to stop in order."""
    lab = Lab.load(directory)
    done = "was killed" if node in lab.running() else "did not run"
    lab.kill(node)
    print_note(f"{node} {done}; bring it back with: keyhop lab start {node} --dir {directory}")


@app.command()
def down(directory: Directory) -> None:
    """Stop all nodes; keys, certificates and ports are kept for the next `up`."""
    Lab.load(directory).down()
    print_note("all nodes are down")


@app.command()
def eve(
    link: Link,
    directory: Directory,
    fraction: Annotated[float, typer.Option(help="Of the pulses, 0 to 1; 0 sends her away.", min=0, max=1)] = 1.0,
    attack: Annotated[Attack, typer.Option(help="What she does.")] = "intercept-resend",
    basis: Annotated[MeasuringBasis, typer.Option(help="In which she measures.")] = "random",
) -> None:
    """Put an eavesdropper on the simulated line of a link."""
    present = Eavesdropper(attack, fraction, basis) if fraction else None
    _disturb(directory, link, lambda now: replace(now, eavesdropper=present))


@app.command()
def cut(
    link: Link,
    directory: Directory,
    mend: Annotated[bool, typer.Option("--mend", help="Join the line again.")] = False,
) -> None:
    """Cut the simulated line of a link."""
    _disturb(directory, link, lambda now: replace(now, cut=not mend))


@app.command()
def attenuate(
    link: Link,
    loss: Annotated[
        str, typer.Argument(metavar="LOSS", help="Loss beyond that of the line, in dB: 3dB or 3; 0 takes it away.")
    ],
    directory: Directory,
) -> None:
    """Weaken the light on the simulated line of a link."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*(?:dB)?", loss.strip(), re.IGNORECASE)
    if match is None or float(match[1]) > MAX_LOSS_DB:
        raise typer.BadParameter(f"a loss is 0dB to {MAX_LOSS_DB:g}dB, not {loss!r}")
    _disturb(directory, link, lambda now: replace(now, extra_loss_db=float(match[1])))


def _disturb(directory: Path, link: str, change: Callable[[Disturbance], Disturbance]) -> None:
    now = Lab.load(directory).disturb(link, change)
    print_note(f"{link}: {now}")
    print_note(f"see what becomes of it: keyhop link watch {link} --lab {directory}")


def _tell(lab: Lab, lines: list[str]) -> None:
    _print_state(lab.state())
    for line in lines:
        print_note(line)


def _print_state(state: list[NodeState]) -> None:
    """One line per node."""
    columns = ("node", "process", "state", "ETSI 014", "management", "links")
    print_table(columns, [_row(node) for node in state])


def _row(node: NodeState) -> tuple[str, ...]:
    state = told_readiness(node.ready, node.missing)
    links = ", ".join(map(_link, node.links))
    return (node.id, str(node.pid or "-"), state, node.etsi014_url, node.management_url, links)


def _link(link: LinkInfo) -> str:
    if link.state == "generating":
        return f"{link.id} generating {link.sbr_bps / 1000:.1f} kbit/s"
    return f"{link.id} {link.state}: {link.reason}" if link.reason else f"{link.id} {link.state}"
