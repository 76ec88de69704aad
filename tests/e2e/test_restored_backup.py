"""One node's store is set back to an older copy, as after a repair, while its neighbour remembers everything.

The nodes have no witness: here it is the peer that finds out. Each node is the owner of one stream and the follower of
the other, so that either of them plays both roles.
"""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from office import Office
from witness import check_ledgers, epochs

WINDOW_S = 1.25
"""A delivery window, and the tick that finds its end."""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with Office.open(tmp_path_factory.mktemp("restored"), witness=False) as office:
        yield office


def copied(office: Office, kme: str, how: str, to: Path) -> None:
    """Copies the store of a node that was stopped, was killed, or is frozen for the moment."""
    nodes = office.nodes
    if how == "frozen":
        with nodes.frozen(kme):
            shutil.copytree(nodes.data(kme), to)
        return
    if how == "stopped":
        nodes.stop(kme)
    nodes.kill(kme)
    shutil.copytree(nodes.data(kme), to)
    nodes.all_ready()


@pytest.mark.parametrize("how", ["stopped", "killed", "frozen"])
@pytest.mark.parametrize("kme", ["alice", "bob"])
def test_a_restored_store_gives_out_nothing_twice(office: Office, kme: str, how: str, tmp_path: Path) -> None:
    office.work()
    copied(office, kme, how, tmp_path / "copy")
    office.work_for(WINDOW_S)
    before = epochs(office.nodes.lab)

    office.nodes.set_back(kme, tmp_path / "copy")
    office.nodes.all_ready()
    office.settle()
    office.work()
    after = epochs(office.nodes.lab)
    for stream, epoch in before.items():
        owner_may_remember = how == "frozen" and stream[0] == kme  # when it took no lease after the copy
        assert after[stream] > epoch or owner_may_remember
    check_ledgers(office.nodes.lab)


@pytest.mark.parametrize("kme", ["alice", "bob"])
def test_nor_when_nodes_crash_while_they_find_out(office: Office, kme: str, tmp_path: Path) -> None:
    office.work()
    copied(office, kme, "killed", tmp_path / "copy")
    office.work()
    before = epochs(office.nodes.lab)

    office.nodes.set_back(kme, tmp_path / "copy")
    for crashing in (kme, "alice", "bob"):
        office.nodes.start(kme, random.uniform(0.0, 0.15))
        office.nodes.kill(crashing)
    office.close_down()
    assert all(epoch > before[stream] for stream, epoch in epochs(office.nodes.lab).items())
