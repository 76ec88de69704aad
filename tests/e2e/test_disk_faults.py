"""A full disk, and a disk that fails: the node gives out nothing more, says why and ends; repaired, it goes on.

The full disk is a small tmpfs; calls of the failing one fail in the process (`failing_calls`).
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from audited import check_audit_logs
from failing_calls import built_shim, own_child
from witness import STORE_FAILED, Saes, Witness, at_work, check_ledgers, stop

from keyhop.apps.client import BadRequest
from keyhop.lab import Lab, load_topology

ENDED_S = 15.0
SERVED_S = 20.0
KME = "bob"
WAIT_S = 10.0
CALLERS = 8
MORE_THAN_THERE_IS = (8192, 1024)


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls fail."""
    return built_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def broken_lab(tmp_path: Path) -> Iterator[Lab]:
    plain = load_topology("two-sites-paced")
    patient = msgspec.structs.replace(plain, policy=plain.policy | {"wait_s": WAIT_S})
    lab = Lab.up(patient, tmp_path / "lab")
    yield lab
    lab.down()


def suffers(lab: Lab, saes: Saes, process: subprocess.Popen[bytes], breaks: Callable[[], object]) -> list[UUID]:
    """The disk breaks, and keys are asked for at once: who waits hears why, and the node ends by itself.

    The keys that were asked for before and after.
    """
    lab.start(KME)
    key_ids = [key_id for _ in range(2 * CALLERS) for key_id in saes.get("alicesae", ("bobsae",))]
    with ThreadPoolExecutor(CALLERS + 1) as callers:
        waiting = callers.submit(saes.get, "bobsae", ("alicesae",), *MORE_THAN_THERE_IS)
        assert all(callers.map(lambda key_id: saes.must_fetch("bobsae", [key_id]), key_ids[:CALLERS]))
        breaks()
        list(callers.map(lambda key_id: saes.must_fetch("bobsae", [key_id]), key_ids[CALLERS:]))
        assert waiting.result() == []
    assert process.wait(ENDED_S) == 1
    assert STORE_FAILED[0] in saes.reasons
    events = [json.loads(line) for line in (lab.directory / "nodes" / KME / "node.log").read_text().splitlines()]
    (told,) = [event for event in events if event["level"] == "critical"]
    assert told["event"].startswith("the store failed")
    return key_ids


def goes_on(lab: Lab, saes: Saes, key_ids: list[UUID]) -> None:
    """The node serves again, and what it gave out before does not come a second time."""
    lab.start(KME)
    assert len(key_ids) == 2 * CALLERS
    for key_id in key_ids:
        with suppress(BadRequest):
            saes.fetch("bobsae", [key_id])
    with at_work(saes, seed=1) as workers:
        until(lambda: all(worker.exchanges >= 10 for worker in workers))
    check_ledgers(lab)


def until(condition: Callable[[], bool]) -> None:
    """Waits for what other threads do."""
    deadline = time.monotonic() + SERVED_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.requires_tool("cc")
@pytest.mark.parametrize("fault", ["sync", "write", "full"])
@pytest.mark.parametrize("place", ["data", "data/audit"])
def test_calls_that_fail(broken_lab: Lab, shim: Path, place: str, fault: str) -> None:
    folder = broken_lab.directory / "nodes" / KME
    sign = folder / place / "fault"
    stop(broken_lab, KME)
    with (folder / "node.toml").open("a") as config:
        config.write("\n[audit]\nsync = true\n")
    witness = Witness()
    with Saes.of(broken_lab, witness) as saes:
        with own_child(broken_lab, KME, shim) as process:
            key_ids = suffers(broken_lab, saes, process, lambda: sign.write_text(fault))
        sign.unlink()
        goes_on(broken_lab, saes, key_ids)
        check_audit_logs(broken_lab, witness)


@pytest.mark.parametrize("tmpfs", ["data", "data/audit"], indirect=True)
def test_a_full_disk(broken_lab: Lab, tmpfs: Path) -> None:
    filler = tmpfs / "filler"
    witness = Witness()
    with Saes.of(broken_lab, witness) as saes:
        with own_child(broken_lab, KME) as process:
            key_ids = suffers(broken_lab, saes, process, lambda: fill(filler))
        with own_child(broken_lab, KME) as process:
            assert process.wait(ENDED_S) == 1
        filler.unlink()
        goes_on(broken_lab, saes, key_ids)
        check_audit_logs(broken_lab, witness)


@pytest.fixture
def tmpfs(broken_lab: Lab, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The node, which is stopped, keeps its data, or its audit log, on a small file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    stop(broken_lab, KME)
    data = broken_lab.directory / "nodes" / KME / request.param
    away = data.with_name("away")
    data.rename(away)
    data.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "keyhop-test", str(data)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this root may not mount a file system")
    try:
        shutil.copytree(away, data, dirs_exist_ok=True)
        yield data
        broken_lab.down()
    finally:
        subprocess.run(["umount", str(data)], check=True)


def fill(filler: Path) -> None:
    """Leaves no room for a single page."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
