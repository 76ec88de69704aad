"""What to try in a lab that is up: lines to paste, which work as they stand."""

import shlex
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from keyhop.core.ids import SaeId
from keyhop.lab import Lab
from keyhop.lab.inventory import Inventory, SaeEntry
from keyhop.management import NotAnswering, Refused
from keyhop.node.policy.state import PolicyQuestion

MOST_ASKED = 16
"""Pairs of SAEs about which nodes are asked, until one of them may have a key."""


def to_try(lab: Lab, directory: Path, where: str) -> list[str]:
    """Lines for people, `where` to paste them first; the lab's `directory` is as its user wrote it."""
    inventory, written = lab.inventory(), shlex.quote(str(directory))
    kme, lines = inventory.kmes[0].id, []
    with suppress(NotAnswering):  # a node that has ended meanwhile
        if pair := _pair(lab, inventory):
            master, slave = pair
            kme = master.kme
            lines += [
                f"keyhop key get {slave.id} --lab {written} --sae {master.id}",
                f"keyhop key fetch {master.id} KEY_ID --lab {written} --sae {slave.id}   # the ID that get has shown",
                _curl(inventory, master, slave, lab.directory, directory),
                f"keyhop policy check --lab {written} --node {kme} --master {master.id} --slave {slave.id}",
            ]
        lines.append(f"keyhop node status --lab {written} --node {kme}")
        if link := _line(lab):
            lines.append(f"keyhop lab cut {link} --dir {written}   # with --mend: join it again")
    return [f"try, {where}:", *(f"  {line}" for line in lines)] if lines else []


def _pair(lab: Lab, inventory: Inventory) -> tuple[SaeEntry, SaeEntry] | None:
    """Two SAEs that may have a key now, the first of a KME each."""
    nodes = lab.management(down=True)
    for master, slave in islice(_pairs(inventory), MOST_ASKED):
        if nodes[master.kme].policy(PolicyQuestion(SaeId(master.id), SaeId(slave.id))).possible:
            return master, slave
    return None


def _pairs(inventory: Inventory) -> Iterator[tuple[SaeEntry, SaeEntry]]:
    """Those at KMEs that stand far from each other in the topology come first."""
    first_at = {sae.kme: sae for sae in reversed(inventory.saes)}
    with_saes = [kme.id for kme in inventory.kmes if kme.id in first_at]
    for kme in with_saes:
        for other in reversed(with_saes):
            if other != kme:
                yield first_at[kme], first_at[other]


def _line(lab: Lab) -> str | None:
    """A link whose line can be cut, since it is simulated."""
    for link in lab.links():
        with suppress(Refused):
            next(iter(lab.management(link, down=True).values())).disturbance(link)
            return link
    return None


def _curl(inventory: Inventory, master: SaeEntry, slave: SaeEntry, absolute: Path, directory: Path) -> str:
    ca, certificate, key = (
        str(directory / Path(path).relative_to(absolute)) for path in (inventory.ca, master.cert, master.key)
    )
    url = f"{inventory.kme(master.kme).etsi014_url}/api/v1/keys/{slave.id}/enc_keys"
    return shlex.join(["curl", "--cacert", ca, "--cert", certificate, "--key", key, url])
