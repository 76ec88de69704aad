"""One node's store is set back to an older copy, as after a repair, while its neighbour remembers everything.

Each node is the owner of one stream and the follower of the other, so that either of them plays both roles.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from witness import Saes, Witness, check_ledgers, epochs, stop

from keyhop.apps.client import BadRequest
from keyhop.lab import Lab, LabError

WINDOW_S = 1.25
"""A delivery window, and the tick that finds its end."""
SERVED_S = 10.0


class Office:
    """SAEs that get keys of every kind in both directions, fetch some, and keep the IDs of the others."""

    def __init__(self, lab: Lab, saes: Saes) -> None:
        self.lab = lab
        self.saes = saes
        self.fetched: list[tuple[str, UUID]] = []
        self.held: list[tuple[str, UUID]] = []

    def work(self) -> None:
        """Streams both ways, multicast, and keys within one site: of each, one is fetched and one is held."""
        for here, there in (("alice", "bob"), ("bob", "alice")):
            master, colleague, partner = f"{here}sae", f"{here}sae2", f"{there}sae"
            self._share(master, (partner,), size_bits=256, number=4)
            self._share(master, (partner,), size_bits=200)
            self._share(master, (colleague,))
            self._share(master, (partner, colleague))

    def settle(self) -> None:
        """What was fetched is not given out again; what was held comes as it was, or not at all."""
        for slave, key_id in self.fetched:
            with suppress(BadRequest):
                self._answered(slave, [key_id])
        held, self.held = self.held, []
        for slave, key_id in held:
            with suppress(BadRequest):
                self._answered(slave, [key_id])
                self.fetched.append((slave, key_id))

    def _share(self, master: str, slaves: tuple[str, ...], size_bits: int = 256, number: int = 2) -> None:
        deadline = time.monotonic() + SERVED_S
        while not (key_ids := self.saes.get(master, slaves, size_bits, number)):
            assert time.monotonic() < deadline, f"{master} is not served"
        for slave in slaves:
            self._answered(slave, key_ids[1:])
            self.fetched += [(slave, key_id) for key_id in key_ids[1:]]
            self.held.append((slave, key_ids[0]))

    def _answered(self, slave: str, key_ids: list[UUID]) -> None:
        deadline = time.monotonic() + SERVED_S
        while not self.saes.fetch(slave, key_ids):
            assert time.monotonic() < deadline, f"{slave} is not served"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    lab = Lab.up("two-sites-paced", tmp_path_factory.mktemp("restored"))
    try:
        with Saes.of(lab, Witness()) as saes:
            yield Office(lab, saes)
    finally:
        lab.down()


def copied(lab: Lab, kme: str, how: str, to: Path) -> None:
    """Copies the store of a node that was stopped, was killed, or is frozen for the moment."""
    data = lab.directory / "nodes" / kme / "data"
    if how == "frozen":
        pid = lab.inventory().kme(kme).pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        shutil.copytree(data, to)
        os.kill(pid, signal.SIGCONT)
        return
    if how == "stopped":
        stop(lab, kme)
    lab.kill(kme)
    shutil.copytree(data, to)
    lab.start(kme)


def set_back(lab: Lab, kme: str, copy: Path) -> None:
    """The node crashes, and its store is what it was when it was copied."""
    lab.kill(kme)
    data = lab.directory / "nodes" / kme / "data"
    shutil.rmtree(data)
    shutil.copytree(copy, data)


@pytest.mark.parametrize("how", ["stopped", "killed", "frozen"])
@pytest.mark.parametrize("kme", ["alice", "bob"])
def test_a_restored_store_gives_out_nothing_twice(office: Office, kme: str, how: str, tmp_path: Path) -> None:
    office.work()
    copied(office.lab, kme, how, tmp_path / "copy")
    since = time.monotonic()
    while time.monotonic() < since + WINDOW_S:
        office.work()
    before = epochs(office.lab)

    set_back(office.lab, kme, tmp_path / "copy")
    office.lab.start(kme)
    office.settle()
    office.work()
    after = epochs(office.lab)
    for stream, epoch in before.items():
        owner_may_remember = how == "frozen" and stream[0] == kme  # when it took no lease after the copy
        assert after[stream] > epoch or owner_may_remember
    check_ledgers(office.lab)


@pytest.mark.parametrize("kme", ["alice", "bob"])
def test_nor_when_nodes_crash_while_they_find_out(office: Office, kme: str, tmp_path: Path) -> None:
    office.work()
    copied(office.lab, kme, "killed", tmp_path / "copy")
    office.work()
    before = epochs(office.lab)

    set_back(office.lab, kme, tmp_path / "copy")
    for crashing in (kme, "alice", "bob"):
        with suppress(LabError):
            office.lab.start(kme, timeout_s=random.uniform(0.3, 1.0))
        office.lab.kill(crashing)
    Lab.up("two-sites-paced", office.lab.directory)
    office.settle()
    office.work()
    office.settle()
    assert all(epoch > before[stream] for stream, epoch in epochs(office.lab).items())
    check_ledgers(office.lab)
