"""`keyhop node`: one KME as a process, its configuration, and what it says of itself."""

import json
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from keyhop.cli.output import print_json, print_note, print_table
from keyhop.core.errors import ConfigurationError, KeyhopError

app = typer.Typer(help="Run a node, check its configuration, ask how it is.", no_args_is_help=True)

TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 4 << 20

Config = Annotated[Path, typer.Option("--config", help="The node's node.toml.", dir_okay=False)]
Url = Annotated[str, typer.Option("--url", help="The node's management address, http://host:port.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]

_PAGES = {
    "node": "/v1/node",
    "readiness": "/readyz",
    "links": "/v1/links",
    "peers": "/v1/peers",
    "streams": "/v1/streams",
}


@app.command()
def run(config: Config) -> None:
    """Run a node until SIGTERM or Ctrl-C; SIGHUP reads the configuration again."""
    from keyhop.node.daemon import run as run_node

    raise typer.Exit(run_node(config))


@app.command()
def check(config: Config, as_json: AsJson = False) -> None:
    """Say whether a configuration can be used, and what it makes of the node."""
    from keyhop.node.config import NodeConfig, load_config

    found: NodeConfig = load_config(config)
    tls = found.tls
    files = [tls.ca, tls.certificate, tls.key, *([tls.crl] if tls.crl else [])]
    files += [link.options.secret_file for link in found.links]
    for path in files:
        _check_readable(path)
    summary: dict[str, Any] = {
        "id": found.node.id,
        "lab": found.node.lab,
        "data_dir": str(found.node.data_dir),
        "store": found.store.kind,
        "etsi014": found.etsi014.listen,
        "management": found.management.listen,
        "peers": found.peers.listen,
        "kmes": [kme.id for kme in found.kmes],
        "saes": [sae.id for sae in found.saes],
        "links": [f"{link.id} ({link.kind}, to {link.peer})" for link in found.links],
        "key_size_bits": [found.policy.min_size_bits, found.policy.default_size_bits, found.policy.max_size_bits],
    }
    if as_json:
        print_json(summary)
    else:
        print_table(("setting", "value"), [(name, _shown(value)) for name, value in summary.items()])
        print_note(f"{config} can be used")


@app.command()
def status(url: Url, as_json: AsJson = False) -> None:
    """Show a running node: its links, peers and key streams. Exit 1 when it is not ready."""
    state = _ask(url)
    readiness = state["readiness"]
    if as_json:
        print_json(state)
    else:
        _print_state(state)
    if not readiness["ready"]:
        raise typer.Exit(1)


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as failure:
        raise ConfigurationError(
            f"cannot read {path}: {failure.strerror}", hint="relative paths are taken from the directory of node.toml"
        ) from None


def _ask(url: str) -> dict[str, Any]:
    try:
        # No proxy: the management address is local, whatever the environment says.
        with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
            return {name: _page(client, path) for name, path in _PAGES.items()}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as failure:
        raise KeyhopError(
            f"no node answers at {url} ({type(failure).__name__})",
            hint="is it running? its management address is [management] listen in its node.toml",
        ) from None


def _page(client: httpx.Client, path: str) -> Any:
    with client.stream("GET", path) as reply:
        if reply.status_code not in (200, 503):
            raise ValueError(f"{path}: {reply.status_code}")
        content = bytearray()
        for part in reply.iter_bytes():
            content += part
            if len(content) > MAX_ANSWER_BYTES:
                raise ValueError(f"{path}: too long")
    return json.loads(content)


def _print_state(state: dict[str, Any]) -> None:
    node, readiness = state["node"], state["readiness"]
    condition = "ready" if readiness["ready"] else f"not ready: {'; '.join(readiness['not_ready'])}"
    print_table(("node", "version", "process", "state"), [(node["id"], node["version"], node["pid"], condition)])
    print_table(
        ("link", "peer", "kind", "state", "SBR kbit/s", "QBER %", "blocks"),
        [_link_row(link) for link in state["links"]],
    )
    print_table(
        ("peer", "connected", "synchronised"),
        [(peer["id"], _yes(peer["connected"]), _yes(peer["synchronised"])) for peer in state["peers"]],
    )
    columns = ("produced", "available", "leased", "delivered", "pad", "mac", "id_key", "voided", "expired")
    print_table(
        ("stream", "role", "epoch", *columns, "balanced"),
        [
            (
                f"{stream['owner']}→{stream['follower']}",
                stream["role"],
                stream["epoch"],
                *(stream[column] for column in columns),
                _yes(stream["balanced"]),
            )
            for stream in state["streams"]
        ],
    )


def _link_row(link: dict[str, Any]) -> tuple[object, ...]:
    kind = link["kind"] if link["physics"] else f"{link['kind']} (no physics)"
    condition = f"{link['state']}: {link['reason']}" if link["reason"] else link["state"]
    qber = "-" if link["qber"] is None else f"{100 * link['qber']:.2f}"
    return (link["id"], link["peer"], kind, condition, f"{link['sbr_bps'] / 1000:.1f}", qber, link["blocks"])


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _shown(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
