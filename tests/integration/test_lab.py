"""A lab of real node processes: brought up, looked at, hurt, resumed, brought down."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.lab import Inventory, Lab, LabError, NotReady
from keyhop.lab.demo import Applications

DEAD_AT_ONCE_S = 20.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab.up("two-sites-paced", tmp_path_factory.mktemp("lab"))
    yield lab
    lab.down()


def written(lab: Lab) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((lab.directory / "lab.json").read_bytes())
    return document


def alive(pid: int | None) -> bool:
    """Whether a process of that number runs; one that only waits to be collected by its parent does not."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def exchange_both_ways(inventory: Inventory) -> None:
    with Applications.connected(inventory, "alicesae2", "bobsae3") as saes:
        saes.exchange("alicesae2", "bobsae3")
        saes.exchange("bobsae3", "alicesae2")


def keyhop(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keyhop", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_lab_json_is_what_its_readers_were_promised(lab: Lab) -> None:
    document = written(lab)
    assert list(document) == ["ca", "kmes", "saes"]
    assert [kme["id"] for kme in document["kmes"]] == ["alice", "bob"]
    assert all(list(kme) == ["id", "etsi014_url", "management_url", "config", "pid"] for kme in document["kmes"])
    assert len(document["saes"]) == 6
    assert all(list(sae) == ["id", "kme", "cert", "key"] for sae in document["saes"])
    paths: list[str] = [document["ca"], *(kme["config"] for kme in document["kmes"])]
    paths += [sae[name] for sae in document["saes"] for name in ("cert", "key")]
    for path in paths:
        assert Path(path).is_absolute()
        assert Path(path).is_file()


def test_each_node_answers_under_its_process_number(lab: Lab) -> None:
    for kme in lab.inventory().kmes:
        answer = httpx.get(f"{kme.management_url}/v1/node", trust_env=False).json()
        assert (answer["id"], answer["pid"]) == (kme.id, kme.pid)
        assert alive(kme.pid)


def test_applications_at_both_sites_get_the_same_key(lab: Lab) -> None:
    exchange_both_ways(lab.inventory())


def test_up_on_a_running_lab_leaves_it_alone(lab: Lab) -> None:
    before = lab.inventory()
    assert Lab.up("two-sites-paced", lab.directory).inventory() == before


def test_a_killed_node_comes_back_where_it_was(lab: Lab) -> None:
    before = lab.inventory().kme("alice")
    told = keyhop("lab", "kill", "alice", "--dir", str(lab.directory))
    assert told.returncode == 0, told.stderr
    assert f"keyhop lab start alice --dir {lab.directory}" in told.stderr
    assert not alive(before.pid)
    assert [kme["pid"] for kme in written(lab)["kmes"]] == [None, lab.inventory().kme("bob").pid]
    (alice, bob) = lab.state()
    assert not alice.ready
    assert alice.missing == ["it does not run"]
    assert bob.pid is not None

    told = keyhop("lab", "start", "alice", "--dir", str(lab.directory))
    assert told.returncode == 0, told.stderr
    after = lab.inventory().kme("alice")
    assert after.pid != before.pid
    assert (after.etsi014_url, after.management_url) == (before.etsi014_url, before.management_url)
    assert written(lab)["kmes"][0]["pid"] == after.pid
    exchange_both_ways(lab.inventory())


def test_a_node_is_found_although_its_number_was_lost(lab: Lab) -> None:
    before = lab.inventory()
    number = lab.directory / "nodes" / "bob" / "node.pid"
    try:
        number.write_text(f"{os.getpid()}\n")
        assert Lab.load(lab.directory).inventory() == before
    finally:
        number.write_text(f"{before.kme('bob').pid}\n")


@pytest.mark.requires_tool("curl")
def test_what_up_says_to_try_works_as_it_stands(lab: Lab) -> None:
    told = keyhop("lab", "up", "two-sites-paced", "--dir", str(lab.directory), "--detach")
    lines = [line.strip() for line in told.stderr.splitlines() if line.startswith("  ")]
    assert [line.split()[:3] for line in lines if line.startswith("keyhop")] == [
        ["keyhop", "key", "get"],
        ["keyhop", "key", "fetch"],
        ["keyhop", "policy", "check"],
        ["keyhop", "node", "status"],
        ["keyhop", "lab", "cut"],
    ]
    shown: list[str] = []
    for line in lines:
        command = line.replace("keyhop ", f"{sys.executable} -m keyhop ", 1).replace("curl ", "curl -sSf ", 1)
        command = command.replace("KEY_ID", shown[0].splitlines()[1].split()[0] if shown else "")
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (line, done.stderr)
        shown.append(done.stdout)
    got, fetched, curled, *_ = shown
    assert got.splitlines()[1].split()[0] == fetched.splitlines()[1].split()[0]
    assert "key_ID" in curled
    assert lab.management("alice-bob")["alice"].disturbance("alice-bob").cut
    assert keyhop("lab", "cut", "alice-bob", "--mend", "--dir", str(lab.directory)).returncode == 0


def test_down_and_up_resume_with_the_same_addresses_and_authority(lab: Lab) -> None:
    before = lab.inventory()
    authority = Path(before.ca).read_bytes()
    lab.down()
    assert [kme.pid for kme in lab.inventory().kmes] == [None, None]
    assert [kme["pid"] for kme in written(lab)["kmes"]] == [None, None]
    assert not any(alive(kme.pid) for kme in before.kmes)

    after = Lab.up("two-sites-paced", lab.directory).inventory()
    assert [kme.etsi014_url for kme in after.kmes] == [kme.etsi014_url for kme in before.kmes]
    assert Path(after.ca).read_bytes() == authority
    exchange_both_ways(after)


def test_status_on_the_command_line(lab: Lab) -> None:
    told = keyhop("lab", "status", "--dir", str(lab.directory), "--json")
    assert told.returncode == 0, told.stderr
    kmes = json.loads(told.stdout)["kmes"]
    assert [(kme["id"], kme["ready"]) for kme in kmes] == [("alice", True), ("bob", True)]
    (link,) = kmes[0]["links"]
    assert (link["id"], link["peer"], link["physics"]) == ("alice-bob", "bob", False)


def test_a_node_that_dies_at_start_is_told_at_once_and_leaves_nothing_running(tmp_path: Path) -> None:
    Lab.up("two-sites-paced", tmp_path).down()
    config = tmp_path / "nodes" / "bob" / "node.toml"
    config.write_text("polcy = 1\n" + config.read_text())
    begin = time.monotonic()
    with pytest.raises(LabError, match="bob ended before it was ready") as caught:
        Lab.up("two-sites-paced", tmp_path, timeout_s=120)
    assert time.monotonic() - begin < DEAD_AT_ONCE_S
    assert "polcy" in caught.value.message
    assert Lab.load(tmp_path).running() == []


def test_a_lab_that_is_not_ready_in_time_says_what_it_waits_for(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="not ready after 0 s") as caught:
        Lab.up("two-sites-paced", tmp_path, timeout_s=0)
    assert "alice: " in caught.value.message
    assert not (tmp_path / "lab.json").exists()
    assert Lab.load(tmp_path).running() == []


def test_a_detached_lab_that_is_late_goes_on_running(tmp_path: Path) -> None:
    try:
        told = keyhop("lab", "up", "two-sites-paced", "--dir", str(tmp_path), "--detach", "--timeout", "0.001")
        assert told.returncode == 1
        assert "what runs was left running" in told.stderr
        assert "hint: a slow link or machine needs a longer --timeout" in told.stderr
        assert Lab.load(tmp_path).running() == ["alice", "bob"]
        assert written(Lab.load(tmp_path))["kmes"][0]["pid"]
    finally:
        Lab.load(tmp_path).down()


def test_a_link_that_somebody_stopped_is_told_at_once(lab: Lab) -> None:
    ends = lab.management("alice-bob")
    ends["bob"].stop_link("alice-bob")
    try:
        begin = time.monotonic()
        with pytest.raises(NotReady, match="link alice-bob is off at bob: somebody stopped it") as caught:
            Lab.up("two-sites-paced", lab.directory)
        assert time.monotonic() - begin < DEAD_AT_ONCE_S
        assert caught.value.hint == f"keyhop link start alice-bob --lab {lab.directory}"
        assert lab.running() == ["alice", "bob"]
    finally:
        ends["bob"].start_link("alice-bob")
        lab.start("bob")


def test_a_directory_without_a_lab_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no lab"):
        Lab.load(tmp_path)
    told = keyhop("lab", "down", "--dir", str(tmp_path))
    assert told.returncode == 1
    assert told.stderr.startswith("error: there is no lab")
    assert "hint: " in told.stderr


def test_an_unknown_node_is_told(lab: Lab) -> None:
    with pytest.raises(ConfigurationError, match="no node `carol`"):
        lab.start("carol")


def test_a_node_whose_peer_is_down_runs_without_being_ready(lab: Lab) -> None:
    try:
        for kme in ("alice", "bob"):
            lab.kill(kme)
        told = keyhop("lab", "start", "bob", "--dir", str(lab.directory))
        assert told.returncode == 0, told.stderr
        assert "bob runs, process" in told.stderr
        assert "alice" in told.stderr.splitlines()[-1]
        assert keyhop("lab", "status", "--dir", str(lab.directory)).returncode == 1
    finally:
        lab.start("alice")


def test_a_node_that_does_not_come_back_shows_this_start_only(lab: Lab) -> None:
    config = lab.directory / "nodes" / "bob" / "node.toml"
    good = config.read_text()
    lab.kill("bob")
    log = lab.directory / "nodes" / "bob" / "node.log"
    with log.open("a") as file:
        file.write("an old error\n")
    try:
        config.write_text("polcy = 1\n" + good)
        with pytest.raises(LabError, match="polcy") as caught:
            lab.start("bob")
        assert "an old error" not in caught.value.message
    finally:
        config.write_text(good)
        lab.start("bob")


def test_the_demo_does_not_stop_a_lab_that_ran_before(tmp_path: Path) -> None:
    lab = Lab.up("two-sites", tmp_path, timeout_s=180.0)
    try:
        told = keyhop("demo", "--dir", str(lab.directory))
        assert told.returncode == 0, told.stderr
        assert "goes on" in told.stderr
        assert lab.stopped() == []
    finally:
        lab.down()


def test_a_link_whose_one_end_is_down(lab: Lab) -> None:
    where = ("--lab", str(lab.directory))
    shown = keyhop("link", "show", "alice-bob", *where).stdout
    assert [record.splitlines()[1] for record in shown.split("\n\n")] == ["at node\talice", "at node\tbob"]
    lab.kill("bob")
    try:
        rows = [line.split("\t") for line in keyhop("link", "list", *where).stdout.splitlines()]
        assert ["bob", "alice-bob", "alice", "-", "does not run", "-", "-", "-"] in rows
        listed = json.loads(keyhop("link", "list", *where, "--json").stdout)
        assert {"node": "bob", "id": "alice-bob", "state": None, "reason": "does not run"} in listed
        told = keyhop("link", "stop", "alice-bob", *where)
        assert told.returncode == 1
        assert "alice\talice-bob\toff" in told.stdout
        assert "bob does not run: this end of alice-bob was not told" in told.stderr
        assert keyhop("link", "start", "alice-bob", *where).returncode == 1
        assert keyhop("link", "start", "nosuch", *where).returncode == 1
    finally:
        lab.start("bob")
    assert keyhop("link", "start", "alice-bob", *where).returncode == 0
