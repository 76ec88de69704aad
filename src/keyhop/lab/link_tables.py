"""What a lab puts into a node.toml for one end of a link, beside the options that its topology has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keyhop.lab.addresses import Addresses
from keyhop.lab.layout import Layout
from keyhop.lab.topology import Link, Topology

LINK_SECRET_BYTES = 32
ENROLMENT_BYTES = 28_688


def link_secrets(layout: Layout, link: Link) -> dict[str, tuple[Path, int]]:
    """The secret files that both ends of a link name in their options, and how many bytes are in each, as hex."""
    match link.kind:
        case "rate":
            return {"secret_file": (layout.link_secret(link.id), LINK_SECRET_BYTES)}
        case "bb84":
            return {
                "enrolment_file": (layout.link_enrolment(link.id), ENROLMENT_BYTES),
                "pulses_file": (layout.link_pulses(link.id), LINK_SECRET_BYTES),
            }
        case _:
            return {}


def link_table(
    layout: Layout, topology: Topology, link: Link, kme: str, addresses: Addresses, written: Callable[[Path], str]
) -> dict[str, Any]:
    """The table of the link at `kme`; `written` says how a path is written there."""
    here = link.ends.index(kme)
    table: dict[str, Any] = {"id": link.id, "peer": link.ends[1 - here], "kind": link.kind}
    match link.kind:
        case "bb84":
            table["role"] = ("transmitter", "receiver")[here]
        case "etsi014":
            table |= {
                "role": ("initiator", "follower")[here],
                "base_url": f"https://{addresses.listen[topology.home(link.saes[here])]['etsi014']}",
                "peer_sae_id": link.saes[1 - here],
                "ca": written(layout.ca),
            }
            table |= zip(("certificate", "key"), map(written, layout.sae_certificate(link.saes[here])), strict=True)
        case "files":
            table["role"] = ("initiator", "follower")[here]
            table["directory"] = written(layout.key_files(link.id, kme))
        case _:
            pass
    table |= {name: written(path) for name, (path, _) in link_secrets(layout, link).items()}
    return table | link.options
