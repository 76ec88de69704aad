"""What no peer can tell: both stores are set back, or one to a moment before it delivered alone. The witnesses can."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from office import Office
from witness import epochs, streams

STEP_S = 1.25
"""A step of the witness, and the tick that finds its end."""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with Office.open(tmp_path_factory.mktemp("witnessed"), witness=True) as office:
        yield office


def copied(office: Office, to: Path, *kmes: str) -> Path:
    """The stores of nodes that stand still for the moment, all at once."""
    first, *others = kmes
    with office.nodes.frozen(first):
        if others:
            copied(office, to, *others)
        shutil.copytree(office.nodes.data(first), to / first)
    return to


def told(office: Office, kme: str) -> int:
    """How often a node has said that its store is an old copy."""
    return office.nodes.log(kme).count("the store is an old copy")


def set_back(office: Office, copies: dict[str, Path]) -> None:
    for kme in ("alice", "bob"):
        office.nodes.kill(kme)
    for kme, copy in copies.items():
        office.nodes.set_back(kme, copy / kme)


def test_both_to_the_same_moment(office: Office, tmp_path: Path) -> None:
    office.work()
    copy = copied(office, tmp_path, "alice", "bob")
    office.work_for(STEP_S)
    before = [told(office, kme) for kme in ("alice", "bob")]
    set_back(office, {"alice": copy, "bob": copy})
    office.close_down()
    assert [told(office, kme) for kme in ("alice", "bob")] == [times + 1 for times in before]


@pytest.mark.parametrize("earlier", ["alice", "bob"])
def test_both_to_different_moments(office: Office, earlier: str, tmp_path: Path) -> None:
    later = "bob" if earlier == "alice" else "alice"
    first = copied(office, tmp_path / "first", earlier)
    office.work_for(STEP_S)
    second = copied(office, tmp_path / "second", later)
    office.work_for(STEP_S)
    set_back(office, {earlier: first, later: second})
    office.close_down()


@pytest.mark.parametrize("kme", ["alice", "bob"])
def test_one_that_delivered_while_its_peer_was_away(office: Office, kme: str, tmp_path: Path) -> None:
    office.work()
    copy = copied(office, tmp_path, kme)
    peer = "bob" if kme == "alice" else "alice"
    office.nodes.kill(peer)
    there = [(slave, key_id) for slave, key_id in office.held if slave.startswith(kme)]
    office.held = [pair for pair in office.held if pair not in there]
    for slave, key_id in there:
        assert office.saes.must_fetch(slave, [key_id])
        office.fetched.append((slave, key_id))
    office.nodes.stop(kme)
    set_back(office, {kme: copy})
    office.close_down()


@pytest.mark.parametrize("kme", ["alice", "bob"])
def test_before_it_has_met_anybody_an_old_copy_has_nothing_left(office: Office, kme: str, tmp_path: Path) -> None:
    office.work()
    copy = copied(office, tmp_path, kme)
    office.work_for(STEP_S)
    set_back(office, {kme: copy})
    office.nodes.start_alone(kme)
    assert [end["available"] + end["leased"] for end in streams(office.nodes.lab, kme)] == [0, 0]
    office.close_down()


def test_one_that_lost_its_witness(office: Office) -> None:
    office.work()
    before = epochs(office.nodes.lab)
    office.nodes.stop("alice")
    office.nodes.witness("alice").unlink()
    office.nodes.all_ready()
    assert "its witness is missing" in office.nodes.log("alice")
    office.close_down()
    assert all(epoch > before[stream] for stream, epoch in epochs(office.nodes.lab).items())


def test_a_stop_and_a_start_are_not_taken_for_it(office: Office) -> None:
    office.work()
    before = epochs(office.nodes.lab)
    for kme in ("alice", "bob"):
        office.nodes.stop(kme)
        office.nodes.all_ready()
    assert epochs(office.nodes.lab) == before
    held = len(office.held)
    assert office.fetch_held() == held


def test_with_one_witness_that_side_gives_out_nothing_again(tmp_path: Path) -> None:
    """The other side may, as the guide says: what it delivers again it delivered after the copy was made."""
    with Office.open(tmp_path / "lab", witness=True) as office:
        office.nodes.kill("bob")
        office.nodes.forget_witness("bob")
        office.nodes.all_ready()
        office.work()
        copy = copied(office, tmp_path / "copy", "alice", "bob")
        office.work_for(STEP_S)
        set_back(office, {"alice": copy, "bob": copy})
        office.nodes.all_ready()
        office.fetched = [(slave, key_id) for slave, key_id in office.fetched if slave.startswith("alice")]
        office.held = [(slave, key_id) for slave, key_id in office.held if slave.startswith("alice")]
        office.close_down()
