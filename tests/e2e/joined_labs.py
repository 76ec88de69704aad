"""Two labs of two nodes each, joined by ETSI GS QKD 020 at one node of each: two domains with an authority each.

alice ── west ══ east ── bob
"""

import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from keyhop.lab import Lab
from keyhop.lab.layout import Layout
from keyhop.lab.ports import free_ports
from keyhop.lab.setup import set_up
from keyhop.lab.topology import load_topology

TOPOLOGY = """
[[kmes]]
id = "{site}"
[[kmes]]
id = "{gateway}"
[[saes]]
id = "{site}sae"
kme = "{site}"
[[saes]]
id = "{site}sae2"
kme = "{site}"
[[saes]]
id = "{gateway}sae"
kme = "{gateway}"
[[links]]
id = "{site}-{gateway}"
ends = ["{site}", "{gateway}"]
kind = "rate"
rate_bps = 2_000_000
qber = 0.01
"""


@dataclass(frozen=True)
class Side:
    """One domain: its lab's files, and where its gateway takes other KMSs."""

    site: str
    gateway: str
    layout: Layout
    url: str

    @property
    def saes(self) -> list[str]:
        """Its SAEs, as the other domain names them."""
        return [f"{self.site}*", f"{self.gateway}sae"]


def prepare(directory: Path) -> tuple[Side, Side]:
    """Files of both labs, whose gateways know each other."""
    ports = free_ports(2)
    sides = []
    for (site, gateway), port in zip((("alice", "west"), ("bob", "east")), ports, strict=True):
        here = directory / gateway
        here.mkdir(parents=True)
        path = here / "topology-source.toml"
        path.write_text(TOPOLOGY.format(site=site, gateway=gateway))
        layout = Layout(here / "lab")
        set_up(layout, load_topology(path))
        sides.append(Side(site, gateway, layout, f"https://127.0.0.1:{port}"))
    west, east = sides
    for side, other in ((west, east), (east, west)):
        _join(side, other)
    return west, east


def _join(side: Side, other: Side) -> None:
    def gateway(document: dict[str, Any]) -> None:
        document["etsi020"] = {"listen": side.url.removeprefix("https://")}
        document["gateways"] = [
            {
                "id": f"{other.gateway}-kms",
                "subject_cn": other.gateway,
                "url": other.url,
                "callback_url": f"{side.url}/kmapi/v1/ext_keys/ack",
                "saes": other.saes,
                "ca": str(other.layout.ca),
                "crl": str(other.layout.crl),
            }
        ]

    def site(document: dict[str, Any]) -> None:
        document["foreign_saes"] = [{"kme": side.gateway, "saes": other.saes}]

    _change(side.layout.config(side.gateway), gateway)
    _change(side.layout.config(side.site), site)


def _change(path: Path, change: Any) -> None:
    document = tomllib.loads(path.read_text())
    change(document)
    path.write_text(tomli_w.dumps(document))


@contextmanager
def joined_labs(directory: Path) -> Iterator[tuple[Lab, Lab, Side, Side]]:
    """Both labs, running."""
    west, east = prepare(directory)
    with ExitStack() as stack:
        labs = []
        for side in (west, east):
            topology = load_topology(side.layout.topology)
            lab = Lab.up(topology, side.layout.directory, keep_late=True) if side is east else _started(topology, side)
            stack.callback(lab.down)
            labs.append(lab)
        yield labs[0], labs[1], west, east


def _started(topology: Any, side: Side) -> Lab:
    """The first one is not ready before the second one runs."""
    try:
        return Lab.up(topology, side.layout.directory, keep_late=True, timeout_s=3.0)
    except Exception:  # noqa: BLE001 - it runs; the second lab's start waits for both
        return Lab.load(side.layout.directory)
