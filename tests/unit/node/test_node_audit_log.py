"""The node tells what a crash left of its audit log, and its last seal for whoever keeps it elsewhere."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from node_text import ALICE

from keyhop.audit.files import path_of
from keyhop.audit.log import AuditLog, AuditOptions
from keyhop.core.audit import event_record
from keyhop.core.ids import KmeId
from keyhop.node.audit_log import ANCHOR_S, LOOK_S, Anchors, open_audit_log
from keyhop.node.config import parse_config
from keyhop.testing.virtual import VirtualClock

CONFIG = (
    ALICE
    + """[audit]
directory = "audit"
"""
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    log = AuditLog(tmp_path / "audit", KmeId("alice"), VirtualClock(), AuditOptions())
    for event in ("one", "two", "three"):
        log.write([event_record(event)])
    yield log
    log.close()


def told_at_start(tmp_path: Path) -> list[tuple[str, str]]:
    with structlog.testing.capture_logs() as logs:
        open_audit_log(parse_config(CONFIG, tmp_path), VirtualClock()).close()
    return [(entry["log_level"], entry["event"]) for entry in logs]


def test_a_log_that_ends_in_order_is_nothing_to_tell_of(tmp_path: Path, log: AuditLog) -> None:
    log.close()
    assert told_at_start(tmp_path) == []


def test_a_write_cut_short_is_a_warning(tmp_path: Path, log: AuditLog) -> None:
    log.close()
    path = path_of(tmp_path / "audit", 1)
    path.write_bytes(path.read_bytes()[:-10])
    assert told_at_start(tmp_path) == [("warning", "a crash cut the last write of the audit log short")]


def test_an_altered_log_is_an_error(tmp_path: Path, log: AuditLog) -> None:
    log.close()
    path = path_of(tmp_path / "audit", 1)
    path.write_bytes(path.read_bytes().replace(b"two", b"six"))
    assert told_at_start(tmp_path) == [("error", "the end of the audit log was damaged or altered")]


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("old")),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: (path.with_name("copy").write_bytes(path.read_bytes()), path.with_name("copy").rename(path)),
    ],
)
def test_a_file_that_somebody_takes_away_or_alters_is_noticed(
    tmp_path: Path, log: AuditLog, harm: Callable[[Path], object]
) -> None:
    clock = VirtualClock()
    anchors = Anchors(log, clock)
    anchors.tick()
    harm(path_of(tmp_path / "audit", 1))
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            clock.advance(LOOK_S)
            anchors.tick()
            log.write([event_record("four")])
    assert [entry["event"] for entry in logs] == ["somebody moved or altered the file of the audit log"]
    assert path_of(tmp_path / "audit", 2).read_bytes().count(b"four") == 2


def test_the_last_seal_is_told_when_it_changed_and_not_too_often(log: AuditLog) -> None:
    clock = VirtualClock()
    anchors = Anchors(log, clock)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            anchors.tick()
        first = log.head
        log.write([event_record("four")])
        anchors.tick()
        clock.advance(ANCHOR_S)
        anchors.tick()
        clock.advance(ANCHOR_S)
        anchors.tick()
        anchors.tell()
    assert [(entry["records"], entry["head"]) for entry in logs] == [(3, first), (4, log.head)]
