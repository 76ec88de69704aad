"""The pre-shared keys of a lab whose nodes know each other by them, and where a node.toml names them."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keyhop.lab.layout import Layout
from keyhop.lab.topology import Topology
from keyhop.pki.files import SECRET, write_file

PSK_BYTES = 32


def make_psks(layout: Layout, topology: Topology) -> None:
    """One for every two nodes of a network."""
    for kme in topology.kme_ids():
        for peer in topology.peers(kme):
            if kme < peer:
                path = layout.psk(kme, peer)
                path.parent.mkdir(mode=0o700, exist_ok=True)
                write_file(path, secrets.token_hex(PSK_BYTES).encode() + b"\n", SECRET)


def add_psks(document: dict[str, Any], layout: Layout, refresh_s: float, written: Callable[[Path], str]) -> None:
    """Turns a node.toml for peers with certificates into one for peers with keys; `written` says how a path is written.

    Nobody with a certificate comes to this node, so its peers find it where they would.
    """
    kme, listen = document["node"]["id"], document["peers"]["listen"]
    for peer in document["kmes"]:
        peer["psk_file"] = written(layout.psk(kme, peer["id"]))
    dialled = any(peer["id"] < kme for peer in document["kmes"])
    document["peers"] = {"psk_refresh_s": refresh_s} | ({"psk_listen": listen} if dialled else {})
