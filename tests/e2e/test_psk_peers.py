"""Two real nodes that know each other by a pre-shared key: keys for SAEs, refreshes, kills, a restored store."""

import random
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from callers import management, until
from crashing import fast_link
from forked_lab import ForkedLab
from office import Office
from witness import Saes, Witness

KMES = ("alice", "bob")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    topology = msgspec.structs.replace(fast_link(), psk_refresh_s=1.0)
    with (
        ForkedLab.running(tmp_path / "lab", topology, witness=True) as nodes,
        Saes.of(nodes.lab, Witness()) as saes,
    ):
        yield Office(nodes, saes)


def generations(office: Office) -> dict[str, int]:
    """How often each node's key was refreshed."""
    inventory = office.nodes.lab.inventory()
    return {kme: management(inventory, kme, "/v1/peers")[0]["psk"]["generation"] for kme in KMES}


def refreshed(office: Office, times: int) -> None:
    """Waits for that many refreshes."""
    before = max(generations(office).values())
    until(lambda: min(generations(office).values()) >= before + times)


def test_keys_are_exchanged_while_the_nodes_own_key_is_refreshed(office: Office) -> None:
    office.work()
    refreshed(office, 2)
    office.work_for(3.0)
    office.close_down()


def test_nodes_that_are_killed_at_any_moment_of_a_refresh_meet_again(office: Office) -> None:
    refreshed(office, 1)
    before = max(generations(office).values())
    for _ in range(8):
        killed = random.sample(KMES, random.choice([1, 1, 2]))
        office.work_for(random.uniform(0.0, 1.2))
        for kme in killed:
            office.nodes.kill(kme)
        office.nodes.all_ready()
    refreshed(office, 1)
    assert min(generations(office).values()) > before
    office.close_down()


def test_an_old_copy_keeps_nodes_apart_until_both_get_another_key(office: Office, tmp_path: Path) -> None:
    nodes = office.nodes
    office.work()
    nodes.stop("bob")
    shutil.copytree(nodes.data("bob"), tmp_path / "copy")
    nodes.all_ready()
    refreshed(office, 2)
    nodes.set_back("bob", tmp_path / "copy")
    nodes.start_alone("bob")

    def not_ready(kme: str) -> str:
        return str(management(nodes.lab.inventory(), kme, "/readyz"))

    until(lambda: "shows a generation of the PSK that is not here" in not_ready("bob"))
    until(lambda: "does not have the generation of the PSK" in not_ready("alice"))

    (psk,) = (nodes.lab.directory / "psks").iterdir()
    psk.write_text(secrets.token_hex(32))
    for kme in KMES:
        nodes.stop(kme)
    nodes.all_ready()
    refreshed(office, 1)
    office.settle()
    office.work()
