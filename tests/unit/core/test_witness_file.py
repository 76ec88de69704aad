"""The witness's file: durable, locked, never half written, and never taken for what it is not."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError, StoreFailure
from keyhop.core.witness.base import Statement
from keyhop.core.witness.file import _SLOT_BYTES, FileWitness


def statement(step: int) -> Statement:
    return Statement("alice", b"s" * 16, step)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "witness"


def written(path: Path, *steps: int) -> None:
    keeper = FileWitness(path)
    keeper.read()
    for step in steps:
        keeper.write(statement(step))
    keeper.close()


def read(path: Path) -> Statement | None:
    keeper = FileWitness(path)
    try:
        return keeper.read()
    finally:
        keeper.close()


@pytest.mark.parametrize("steps", [(1,), (1, 2), (7, 8, 9), (5, 1 << 40)])
def test_it_states_what_was_written_last(path: Path, steps: tuple[int, ...]) -> None:
    assert read(path) is None
    written(path, *steps)
    assert read(path) == statement(steps[-1])
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["witness"]


def test_it_is_kept_over_many_uses(path: Path) -> None:
    for step in range(1, 6):
        written(path, step)
        assert read(path) == statement(step)


@pytest.mark.parametrize("cut", [0, 1, 40, 100, _SLOT_BYTES - 1])
def test_a_write_that_is_cut_short_leaves_the_step_before(path: Path, cut: int) -> None:
    written(path, 1, 2, 3)
    before = path.read_bytes()
    written(path, 4)
    after = path.read_bytes()
    slot = before[:cut] + after[cut:] if cut % 2 else after[:cut] + before[cut:_SLOT_BYTES]  # either end may be there
    path.write_bytes(slot[:_SLOT_BYTES] + after[_SLOT_BYTES:])
    found = read(path)
    assert found is not None
    assert found.step in (3, 4)


def test_every_flipped_bit_of_the_newest_is_noticed(path: Path) -> None:
    written(path, 1, 2)
    content = path.read_bytes()
    end = len(content[:_SLOT_BYTES].rstrip(b"\0"))
    for at in range(end):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert read(path) == statement(1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[:10],
        lambda content: bytes(len(content)),
        lambda content: b"not a witness\n" * 600,
        lambda content: content.replace(b"alice", b"alicf"),
    ],
)
def test_a_damaged_one_is_refused(path: Path, spoil: Callable[[bytes], bytes]) -> None:
    written(path, 1, 2)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ConfigurationError, match="damaged") as refusal:
        read(path)
    assert refusal.value.hint
    assert "move it away" in refusal.value.hint


def test_two_cannot_use_one(path: Path) -> None:
    first = FileWitness(path)
    first.read()
    first.write(statement(1))
    with pytest.raises(ConfigurationError, match="another process uses the witness"):
        FileWitness(path).read()
    first.close()
    assert read(path) == statement(1)


def test_two_cannot_make_one(path: Path) -> None:
    first, second = FileWitness(path), FileWitness(path)
    assert first.read() is second.read() is None
    first.write(statement(1))
    with pytest.raises(StoreFailure):
        second.write(statement(1))
    assert [entry.name for entry in path.parent.iterdir()] == ["witness"]


def test_what_cannot_be_read_is_told_with_a_hint(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read(path)


def test_where_no_file_can_be_made(tmp_path: Path) -> None:
    keeper = FileWitness(tmp_path / "nowhere" / "witness")
    assert keeper.read() is None
    with pytest.raises(StoreFailure, match="failed: No such file or directory"):
        keeper.write(statement(1))


def test_a_disk_that_is_full(path: Path) -> None:
    """/dev/full takes no byte."""
    path.symlink_to("/dev/full")
    keeper = FileWitness(path)
    with pytest.raises(ConfigurationError):
        keeper.read()
    with pytest.raises(StoreFailure, match="No space left on device"):
        keeper.write(statement(1))
    keeper.close()


@pytest.mark.parametrize("before", [(), (2,), (1, 2)])
def test_a_disk_that_takes_a_part_only(path: Path, before: tuple[int, ...]) -> None:
    """As a disk does that is full after some bytes: no error comes from it, only a lower number."""
    keeper = FileWitness(path)
    keeper.read()
    for step in before:
        keeper.write(statement(step))
    with no_file_larger_than(_SLOT_BYTES + 100), pytest.raises(StoreFailure, match="cut short"):
        keeper.write(statement(3))
    keeper.close()
    assert read(path) == (statement(before[-1]) if before else None)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
