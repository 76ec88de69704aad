"""Links fed by another network's KMEs and by key files, between real nodes: they work, break, and come back."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from keyhop.lab import Lab
from keyhop.lab.demo import Applications
from keyhop.lab.topology import Topology, load_topology
from keyhop.node.state import LinkInfo

PATIENCE_S = 60.0
FED = ("alice-bob-etsi014", "alice-bob-files")


def without_bb84() -> Topology:
    """`vendors` with the two links only that devices feed: so that whatever applications get came through them."""
    topology = load_topology("vendors")
    fed = tuple(link for link in topology.links if link.kind != "bb84")
    return msgspec.structs.replace(topology, links=fed)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab.up(without_bb84(), tmp_path_factory.mktemp("vendors"))
    yield lab
    lab.down()


def link(lab: Lab, kme: str, name: str) -> LinkInfo:
    return next(each for each in lab.management()[kme].links() if each.id == name)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


def both_generate(lab: Lab) -> bool:
    return all(link(lab, kme, name).state == "generating" for kme in ("alice", "bob") for name in FED)


def exchange(lab: Lab) -> None:
    with Applications.connected(lab.inventory(), "alicesae", "bobsae") as saes:
        for _ in range(5):
            saes.exchange("alicesae", "bobsae")
            saes.exchange("bobsae", "alicesae")


def test_every_link_brings_blocks_and_applications_get_keys(lab: Lab) -> None:
    for name in FED:
        until(lambda name=name: link(lab, "bob", name).blocks >= 3)  # type: ignore[misc]
        assert link(lab, "alice", name).qber is None
        assert link(lab, "alice", name).alarms == 0
    exchange(lab)
    streams = lab.management()["alice"].streams()
    assert all(stream.balanced and stream.produced > 0 for stream in streams)


def test_used_files_are_gone(lab: Lab) -> None:
    for kme in ("alice", "bob"):
        waiting = list((lab.directory / "links" / "alice-bob-files" / kme).glob("*.key"))
        oldest_s = min((path.stat().st_mtime for path in waiting), default=time.time())
        assert time.time() - oldest_s < PATIENCE_S


@pytest.mark.parametrize(("victim", "where"), [("vendor-alice", "alice"), ("vendor-bob", "bob")])
def test_a_vendors_kme_that_dies_stops_its_link_only_and_both_go_on_when_it_is_back(
    lab: Lab, victim: str, where: str
) -> None:
    lab.kill(victim)
    until(lambda: link(lab, where, "alice-bob-etsi014").state == "stopped")
    assert "cannot ask the KME" in (link(lab, where, "alice-bob-etsi014").reason or "")
    before = link(lab, where, "alice-bob-files").blocks
    until(lambda: link(lab, where, "alice-bob-files").blocks > before)
    exchange(lab)
    lab.start(victim)
    before = link(lab, "bob", "alice-bob-etsi014").blocks
    until(lambda: both_generate(lab) and link(lab, "bob", "alice-bob-etsi014").blocks > before)


@pytest.mark.parametrize("victim", ["alice", "bob"])
def test_a_killed_node_goes_on_with_both_links(lab: Lab, victim: str) -> None:
    lab.kill(victim)
    lab.start(victim)
    for name in FED:
        before = link(lab, "alice", name).blocks, link(lab, "bob", name).blocks
        until(lambda before=before, name=name: link(lab, "alice", name).blocks > before[0] + 2)  # type: ignore[misc]
        until(lambda before=before, name=name: link(lab, "bob", name).blocks > before[1] + 2)  # type: ignore[misc]
    exchange(lab)


def test_the_device_ends_with_the_lab_and_comes_back_with_it(lab: Lab) -> None:
    lab.down()
    number = (lab.directory / "links" / "alice-bob-files" / "device.pid").read_text().strip()
    command_line = Path("/proc") / number / "cmdline"
    assert not command_line.exists() or b"file_device" not in command_line.read_bytes()
    Lab.up(without_bb84(), lab.directory)
    exchange(lab)


def test_no_log_has_anything_that_looks_like_a_key(lab: Lab) -> None:
    """Long hex or base64, but for the heads of the audit log: hashes that are told to be kept elsewhere."""
    for log in lab.directory.glob("*/*/*.log"):
        text = re.sub(r'"head": "[0-9a-f]{64}"', "", log.read_text())
        assert not re.search(r"[0-9A-Za-z+/]{40,}={0,2}", text.replace(str(lab.directory), "")), log
