"""The files of a log: what is written can be read again, what a crash leaves is found, and a full disk ends it."""

import errno
import hashlib
import itertools
import json
import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.audit.chain import GENESIS
from keyhop.audit.ending import find_ending
from keyhop.audit.files import numbers_in, path_of
from keyhop.audit.log import AuditLog, AuditOptions
from keyhop.core.audit import event_record
from keyhop.core.errors import ConfigurationError, StoreFailure
from keyhop.core.ids import KmeId
from keyhop.testing.virtual import VirtualClock

ALICE = KmeId("alice")


@contextmanager
def opened(directory: Path, **options: Any) -> Iterator[AuditLog]:
    log = AuditLog(directory, ALICE, VirtualClock(), AuditOptions(**options))
    try:
        yield log
    finally:
        log.close()


def lines_of(directory: Path, number: int = 1) -> list[dict[str, object]]:
    return [json.loads(line) for line in path_of(directory, number).read_bytes().splitlines()]


def test_a_batch_is_a_line_a_record_and_a_seal_over_all_before(tmp_path: Path) -> None:
    with opened(tmp_path / "audit") as log:
        log.write([event_record("one"), event_record("two")])
        log.write([event_record("three")])
        assert log.records == 3
        head = log.head
    first, one, two, seal, three, last = lines_of(tmp_path / "audit")
    assert first["previous"] == GENESIS.hex()
    assert [(line["seq"], line["event"]) for line in (one, two, three)] == [(0, "one"), (1, "two"), (2, "three")]
    batches = path_of(tmp_path / "audit", 1).read_bytes().split(b'{"seal"')
    covered = hashlib.sha256(GENESIS + batches[0]).digest()
    assert seal == {"seal": covered.hex()}
    rest = batches[1].partition(b"\n")[2]
    assert last == {"seal": hashlib.sha256(covered + rest).hexdigest()} == {"seal": head}


def test_records_have_the_wall_time_in_utc(tmp_path: Path) -> None:
    clock = VirtualClock()
    log = AuditLog(tmp_path, ALICE, clock, AuditOptions())
    clock.advance(1.25 - clock.wall() % 1)
    log.write([event_record("one")])
    log.close()
    assert str(lines_of(tmp_path)[1]["time"]).endswith(".250000Z")


@pytest.mark.parametrize("sync", [False, True])
def test_a_log_goes_on_where_it_ended(tmp_path: Path, sync: bool) -> None:
    for event in ("one", "two"):
        with opened(tmp_path, sync=sync) as log:
            log.write([event_record(event)])
            head = log.head
    with opened(tmp_path) as log:
        assert (log.records, log.head, log.left_unsealed) == (2, head, None)
    assert numbers_in(tmp_path) == [1]


def test_only_the_node_may_read_it(tmp_path: Path) -> None:
    with opened(tmp_path / "new" / "audit") as log:
        log.write([event_record("one")])
    assert stat.S_IMODE((tmp_path / "new" / "audit").stat().st_mode) == 0o700
    assert stat.S_IMODE(path_of(tmp_path / "new" / "audit", 1).stat().st_mode) == 0o600


def test_a_full_file_is_followed_by_one_that_names_its_last_seal(tmp_path: Path) -> None:
    with opened(tmp_path, rotate_bytes=300) as log:
        for i in range(10):
            log.write([event_record(f"event {i}")])
    numbers = numbers_in(tmp_path)
    assert len(numbers) > 2
    last = GENESIS.hex()
    for number in numbers:
        first, *_, seal = lines_of(tmp_path, number)
        assert (first["previous"], first["file"], first["kme"]) == (last, number, "alice")
        last = str(seal["seal"])
    assert find_ending(tmp_path).head.hex() == last
    assert find_ending(tmp_path).records == 10


def test_old_files_are_deleted_when_only_some_are_kept(tmp_path: Path) -> None:
    with opened(tmp_path, rotate_bytes=200, keep_files=2) as log:
        for i in range(10):
            log.write([event_record(f"event {i}")])
    assert numbers_in(tmp_path) == [9, 10]
    assert find_ending(tmp_path).records == 10


def test_old_files_stay_until_something_is_written_to_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash in between left nothing that says how far the log had come, and it began anew."""
    with opened(tmp_path, rotate_bytes=1, keep_files=1) as log:
        for number in range(3):
            log.write([event_record(f"event {number}")])
        head = log.head

        def full(descriptor: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "no space")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(StoreFailure):
                log.write([event_record("lost")])
    with opened(tmp_path, rotate_bytes=1, keep_files=1) as log:
        assert (log.head, log.records) == (head, 3)
        log.write([event_record("event 3")])
        assert numbers_in(tmp_path) == [5]


def test_one_process_at_a_time_and_one_kme_for_ever(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.write([event_record("one")])
        with pytest.raises(ConfigurationError, match="another process"):
            AuditLog(tmp_path, ALICE, VirtualClock(), AuditOptions())
    with pytest.raises(ConfigurationError, match="audit log of alice"):
        AuditLog(tmp_path, KmeId("bob"), VirtualClock(), AuditOptions())


def test_a_directory_that_cannot_be_had_is_the_operators_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="directory"):
        AuditLog(tmp_path / "file" / "audit", ALICE, VirtualClock(), AuditOptions())


def test_a_disk_that_takes_nothing_more_ends_the_log(tmp_path: Path) -> None:
    """A limit of the file's size makes the kernel write a part, and then refuse: as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with opened(tmp_path) as log:
        log.write([event_record("one")])
        size = path_of(tmp_path, 1).stat().st_size
        head = log.head
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, before[1]))
            with pytest.raises(StoreFailure, match="File too large"):
                log.write([event_record("two")])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        assert path_of(tmp_path, 1).stat().st_size == size + 40
        with pytest.raises(StoreFailure, match="File too large"):
            log.write([event_record("three")])
    with opened(tmp_path) as log:
        assert log.head == head
        assert log.left_unsealed is not None
        assert (log.left_unsealed.size_bytes, log.left_unsealed.misfits) == (40, 0)


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.write([event_record("one")])
    log.close()
    with pytest.raises(StoreFailure):
        log.write([event_record("two")])


def some_log(directory: Path) -> bytes:
    """Three batches in one file; returns its bytes."""
    with opened(directory) as log:
        for i in range(3):
            log.write([event_record(f"event {i}", detail="x" * i)] * (i + 1))
    return path_of(directory, 1).read_bytes()


def test_a_write_cut_short_at_any_byte_is_kept_and_the_chain_goes_on(tmp_path: Path) -> None:
    whole = some_log(tmp_path / "whole")
    ends = seal_ends(whole)
    for cut in range(len(whole) + 1):
        directory = tmp_path / str(cut)
        directory.mkdir()
        path_of(directory, 1).write_bytes(whole[:cut])
        sealed = max((end for end in ends if end <= cut), default=0)
        with opened(directory) as log:
            left = log.left_unsealed
            assert (left.size_bytes if left else 0) == cut - sealed
            log.write([event_record("recovered")])
            head = log.head
        assert path_of(directory, 1).read_bytes().startswith(whole[:cut])
        if left is None and cut:
            assert numbers_in(directory) == [1]
            continue
        first = lines_of(directory, 2)[0]
        assert first["previous"] == find_previous(whole[:sealed])
        assert first.get("unsealed_sha256") == (hashlib.sha256(whole[sealed:cut]).hexdigest() if left else None)
        with opened(directory) as log:
            assert (log.head, log.left_unsealed) == (head, None)


def seal_ends(whole: bytes) -> list[int]:
    """Where each seal's line ends."""
    ends = itertools.accumulate(map(len, whole.splitlines(keepends=True)))
    return [end for end, line in zip(ends, whole.splitlines(), strict=True) if line.startswith(b'{"seal"')]


def find_previous(sealed: bytes) -> str:
    return str(json.loads(sealed.splitlines()[-1])["seal"]) if sealed else GENESIS.hex()


def test_a_crash_in_the_first_write_after_a_crash_is_found_too(tmp_path: Path) -> None:
    whole = some_log(tmp_path)
    path_of(tmp_path, 1).write_bytes(whole[:-10])
    with opened(tmp_path) as log:
        first_left = log.left_unsealed
        log.write([event_record("recovered")])
    assert first_left is not None
    loose = whole[seal_ends(whole)[-2] : -10]
    second = path_of(tmp_path, 2).read_bytes()
    for cut in range(len(second)):
        path_of(tmp_path, 2).write_bytes(second[:cut])
        with opened(tmp_path) as log:
            left = log.left_unsealed
            assert left is not None
            assert left.sha256 == hashlib.sha256(loose + second[:cut]).hexdigest()
            assert left.size_bytes == len(loose) + cut


@given(st.binary(max_size=200), st.integers(0, 3))
def test_whatever_is_in_the_files_a_log_opens_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    directory = tmp_path_factory.mktemp("audit")
    whole = some_log(directory)
    cut = len(whole) * at // 3
    path_of(directory, 1).write_bytes(whole[:cut] + junk + whole[cut:])
    with opened(directory) as log:
        log.write([event_record("recovered")])
    with opened(directory) as log:
        assert log.left_unsealed is None
