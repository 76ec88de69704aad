"""What a lab puts into a node.toml about other networks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keyhop.lab.addresses import Addresses
from keyhop.lab.layout import Layout
from keyhop.lab.topology import Topology

_ACKNOWLEDGEMENTS = "/kmapi/v1/ext_keys/ack"


def gateway_tables(
    layout: Layout, topology: Topology, kme: str, addresses: Addresses, written: Callable[[Path], str]
) -> list[dict[str, Any]]:
    """`[[gateways]]` of a KME; `written` says how a path is written there. All networks of a lab have one authority."""
    return [
        {
            "id": far,
            "url": f"https://{addresses.of_gateway(far, caller=kme)}",
            "callback_url": f"https://{addresses.of_gateway(kme, caller=far)}{_ACKNOWLEDGEMENTS}",
            "saes": topology.saes_beyond(kme, far),
            "ca": written(layout.ca),
            "crl": written(layout.crl),
        }
        for far in topology.beyond(kme)
    ]


def foreign_saes_tables(topology: Topology, kme: str) -> list[dict[str, Any]]:
    """`[[foreign_saes]]` of a KME: the other networks' SAEs that it reaches over another KME of its own."""
    return [
        {"kme": peer, "saes": topology.saes_beyond(peer, far)}
        for peer in topology.peers(kme)
        for far in topology.beyond(peer)
    ]
