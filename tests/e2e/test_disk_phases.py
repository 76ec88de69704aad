"""The disk fails while a node does this or that: it ends by itself and says why, and no key is lost or comes twice.

What happens to those who fetch keys at that moment is in `test_disk_faults`.
"""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from failing_calls import built_shim, own_child
from witness import Saes, Witness, check_ledgers, stop

from keyhop.lab import Lab

KME = "bob"
ENDED_S = 15.0
SERVED_S = 20.0
PAIRS = (("alicesae", "bobsae"), ("bobsae2", "bobsae"))

type Process = "subprocess.Popen[bytes]"


class Shop:
    """A lab in which each test starts bob, and keys for SAEs at bob."""

    def __init__(self, lab: Lab, saes: Saes) -> None:
        self.lab = lab
        self.saes = saes
        self.node = lab.directory / "nodes" / KME
        self.held: list[tuple[str, UUID]] = []
        self.fetched: list[tuple[str, UUID]] = []

    def open(self) -> None:
        """bob is ready; what was held is still there, what was fetched is not; new keys of each kind are held."""
        self.lab.start(KME)
        held, self.held = self.held, []
        for slave, key_id in held:
            assert self.saes.must_fetch(slave, [key_id])
        for slave, key_id in self.fetched:
            self.saes.must_be_refused(slave, key_id)
        self.fetched = held
        for master, slave in PAIRS:
            deadline = time.monotonic() + SERVED_S
            while not (key_ids := self.saes.get(master, (slave,), number=4)):
                assert time.monotonic() < deadline
            self.held += [(slave, key_id) for key_id in key_ids]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    lab = Lab.up("two-sites-paced", tmp_path_factory.mktemp("phases"))
    stop(lab, KME)
    try:
        with Saes.of(lab, Witness()) as saes:
            yield Shop(lab, saes)
    finally:
        lab.down()


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls fail."""
    return built_shim(tmp_path_factory.mktemp("shim"))


def placing(shop: Shop, process: Process) -> None:
    """Nobody asks for anything, and the link goes on."""


def leasing(shop: Shop, process: Process) -> None:
    """Masters ask until the lease is used up and the next one is taken."""
    while process.poll() is None:
        shop.saes.get("bobsae", ("alicesae",), size_bits=8192, number=8)


@pytest.mark.requires_tool("cc")
@pytest.mark.parametrize(
    ("goes_on", "where", "fault", "reason"),
    [
        (placing, "data", "sync", "the store failed: disk I/O error"),
        (leasing, "data", "write", "the store failed: disk I/O error"),
        (placing, ".", "sync", "the witness .* failed: Input/output error"),
    ],
)
def test_a_fault_while_it_runs(
    shop: Shop, shim: Path, goes_on: Callable[[Shop, Process], None], where: str, fault: str, reason: str
) -> None:
    sign = shop.node / where / "fault"
    log = shop.node / "node.log"
    with own_child(shop.lab, KME, shim) as process:
        shop.open()
        before = log.stat().st_size
        sign.write_text(fault)
        try:
            goes_on(shop, process)
            assert process.wait(ENDED_S) == 1
        finally:
            sign.unlink()
    assert_told(log.read_text()[before:], "the store failed: the node gives out no more keys and stops", reason)


@pytest.mark.requires_tool("cc")
@pytest.mark.parametrize(
    ("where", "fault", "reason"),
    [
        ("data", "sync", "the store failed: disk I/O error"),
        ("data", "read", "the store failed: disk I/O error"),
        (".", "sync", "the witness .* failed: Input/output error"),
        (".", "read", "the witness .* cannot be read: Input/output error"),
        ("data/audit", "write", "the audit log failed: Input/output error"),
    ],
)
def test_a_fault_while_it_starts(shop: Shop, shim: Path, where: str, fault: str, reason: str) -> None:
    sign = shop.node / where / "fault"
    log = shop.node / "node.log"
    before = log.stat().st_size
    sign.write_text(fault)
    try:
        with own_child(shop.lab, KME, shim) as process:
            assert process.wait(ENDED_S) == 1
    finally:
        sign.unlink()
    assert_told(log.read_text()[before:], reason)


def test_afterwards_everything_is_as_it_was_promised(shop: Shop) -> None:
    with own_child(shop.lab, KME):
        shop.open()
        shop.open()
        check_ledgers(shop.lab)


def assert_told(log: str, *reasons: str) -> None:
    """Each reason stands there, and nothing that nobody expected."""
    assert "Traceback" not in log
    assert '"logger": "asyncio"' not in log
    for reason in reasons:
        assert re.search(reason, log), log[-2000:]
