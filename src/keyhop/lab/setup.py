"""From a topology to what nodes need before they start: PKI, link secrets, ports, a node.toml each.

Done once per lab and then kept, so that `up` on an existing directory finds the same certificates, ports and
stores. The copy of the topology is written last: without it, setting up was cut short and is done again.
"""

import os
import secrets
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from keyhop.core.errors import ConfigurationError
from keyhop.lab.addresses import Addresses
from keyhop.lab.delay_proxy import Forwards
from keyhop.lab.gateways import foreign_saes_tables, gateway_tables
from keyhop.lab.layout import Layout
from keyhop.lab.link_tables import link_secrets, link_table
from keyhop.lab.ports import LOOPBACK
from keyhop.lab.psks import add_psks, make_psks
from keyhop.lab.topology import Topology, load_topology, topology_text
from keyhop.node.config import load_config
from keyhop.pki import Authority, create_authority
from keyhop.pki.files import PUBLIC, SECRET, write_file


def set_up(layout: Layout, topology: Topology) -> None:
    """Make the lab's files, or find them made. ConfigurationError when they are of another topology."""
    if layout.topology.exists():
        if load_topology(layout.topology) != topology:
            raise ConfigurationError(
                f"{layout.directory} holds a lab of another topology",
                hint="give another --dir, or bring that lab down and remove the directory",
            )
        return
    layout.directory.mkdir(parents=True, exist_ok=True)
    for kme in topology.kme_ids():
        layout.node(kme).mkdir(parents=True, exist_ok=True)
    _make_certificates(layout, topology)
    for link in topology.links:
        for path, size in link_secrets(layout, link).values():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_file(path, secrets.token_hex(size).encode() + b"\n", SECRET)
        if link.kind == "files":
            for kme in link.ends:
                layout.key_files(link.id, kme).mkdir(mode=0o700, parents=True, exist_ok=True)
    if topology.psk_refresh_s:
        make_psks(layout, topology)
    addresses = Addresses.choose(topology)
    _write_forwards(layout, topology, addresses)
    _write_configurations(layout, topology, addresses)
    write_file(layout.topology, topology_text(topology).encode(), PUBLIC)


def _make_certificates(layout: Layout, topology: Topology) -> None:
    authority = Authority.load(layout.pki) if layout.ca.exists() else create_authority(layout.pki)
    for kme in topology.kme_ids():
        if not all(path.exists() for path in layout.node_certificate(kme)):
            authority.issue_node(kme, [LOOPBACK, "localhost"])
    for sae in topology.all_saes():
        if not all(path.exists() for path in layout.sae_certificate(sae.id)):
            authority.issue_sae(sae.id)


def _write_configurations(layout: Layout, topology: Topology, addresses: Addresses) -> None:
    for kme in topology.kme_ids():
        document = node_configuration(layout, topology, kme, addresses)
        write_file(layout.config(kme), tomli_w.dumps(document).encode(), PUBLIC)
    for kme in topology.kme_ids():
        load_config(layout.config(kme))


def _write_forwards(layout: Layout, topology: Topology, addresses: Addresses) -> None:
    for delay in topology.delays:
        path = layout.forwards(delay.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(
            path, msgspec.json.encode(Forwards(delay.one_way_ms, tuple(addresses.forwards(topology, delay)))), PUBLIC
        )


def node_configuration(layout: Layout, topology: Topology, kme: str, addresses: Addresses) -> dict[str, Any]:
    """The node.toml of `kme` as plain data."""
    here, peers = layout.node(kme), topology.peers(kme)

    def relative(path: Path) -> str:
        return os.path.relpath(path, here)  # so that a lab may be moved

    certificate, key = layout.node_certificate(kme)
    document: dict[str, Any] = {
        "node": {"id": kme, "data_dir": "data", "lab": True},
        "store": {"witness": "witness"},
        "tls": {
            "ca": relative(layout.ca),
            "certificate": relative(certificate),
            "key": relative(key),
            "crl": relative(layout.crl),
        },
        "policy": topology.policy,
    }
    if topology.relay:
        document["relay"] = topology.relay
    document |= {name: {"listen": address} for name, address in addresses.listen[kme].items()}
    document["kmes"] = [{"id": peer, "peer_address": addresses.of_peer(peer, caller=kme)} for peer in peers]
    if topology.psk_refresh_s and peers:
        add_psks(document, layout, topology.psk_refresh_s, relative)
    document["saes"] = [{"id": sae.id, "kme": sae.kme} for sae in topology.all_saes() if sae.kme in (kme, *peers)]
    document["gateways"] = gateway_tables(layout, topology, kme, addresses, relative)
    document["foreign_saes"] = foreign_saes_tables(topology, kme)
    document["links"] = [
        link_table(layout, topology, link, kme, addresses, relative) for link in topology.links if kme in link.ends
    ]
    return document
