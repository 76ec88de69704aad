"""A log that was altered in any byte is not whole; one that a crash cut short is, once the node has told of it."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.audit.chain import GENESIS, Chain
from keyhop.audit.files import numbers_in, path_of
from keyhop.audit.log import AuditLog, AuditOptions
from keyhop.audit.verification import Verdict, Verification
from keyhop.core.audit import event_record
from keyhop.core.ids import KmeId
from keyhop.testing.virtual import VirtualClock

ALICE = KmeId("alice")
KEY = b'"call":"enc_keys","interface":"etsi014","sae":"a","master":"a","slaves":["b"],"paths":[["alice","bob"]],' + (
    b'"source":"bb84","keys":[{"size_bits":256,"ids":"%s"}]' % (b"0f" * 16)
)


def write(directory: Path, *batches: list[bytes], rotate_bytes: int = 1 << 20, keep_files: int = 0) -> str:
    """Appends batches in one run of the node; returns the head."""
    log = AuditLog(directory, ALICE, VirtualClock(), AuditOptions(rotate_bytes=rotate_bytes, keep_files=keep_files))
    for batch in batches:
        log.write(batch)
    head = log.head
    log.close()
    return head


def verify(directory: Path, *anchors: str) -> Verdict:
    return Verification(directory, frozenset(anchors)).run()


def where(verdict: Verdict) -> tuple[str, int]:
    """The first problem."""
    return verdict.problems[0].file, verdict.problems[0].line


def test_a_whole_log(tmp_path: Path) -> None:
    write(tmp_path, [event_record("started")], [KEY, KEY])
    head = write(tmp_path, [event_record("started")], [KEY])
    verdict = verify(tmp_path, head)
    assert verdict == Verdict("alice", 1, 1, 0, 5, head)
    assert verdict.whole


def test_a_directory_without_a_log_is_not_one(tmp_path: Path) -> None:
    assert not verify(tmp_path).whole


def test_a_chain_over_files(tmp_path: Path) -> None:
    heads = [write(tmp_path, [KEY], [KEY], rotate_bytes=400) for _ in range(5)]
    verdict = verify(tmp_path, *heads)
    assert (verdict.whole, verdict.records, verdict.head) == (True, 10, heads[-1])
    assert verdict.files > 3


def test_files_that_were_rotated_away(tmp_path: Path) -> None:
    heads = [write(tmp_path, [KEY], [KEY], rotate_bytes=400, keep_files=3) for _ in range(9)]
    verdict = verify(tmp_path)
    assert verdict.whole
    assert (verdict.first_file, verdict.first_record, verdict.records) == (16, 15, 18)
    first, last = heads[6], heads[7]
    assert verify(tmp_path, last).whole
    assert "before file 16" in verify(tmp_path, first).problems[0].what


@pytest.mark.parametrize("rotate_bytes", [1 << 20, 400])
def test_every_byte_that_is_altered_is_noticed(tmp_path: Path, rotate_bytes: int) -> None:
    write(tmp_path, [event_record("started")], [KEY], rotate_bytes=rotate_bytes)
    head = write(tmp_path, [KEY], [event_record("stopped")], rotate_bytes=rotate_bytes)
    assert verify(tmp_path, head).whole
    draw = random.Random(1)
    for number in numbers_in(tmp_path):
        path = path_of(tmp_path, number)
        true = path.read_bytes()
        for at in range(len(true)):
            for false in (true[at] ^ 1, 0x0A if true[at] != 0x0A else 0x20, draw.choice(b'0af"}{') ^ 0):
                if false != true[at]:
                    path.write_bytes(true[:at] + bytes([false]) + true[at + 1 :])
                    assert not verify(tmp_path).whole, (number, at, false)
        path.write_bytes(true)


@given(st.data())
def test_whatever_is_cut_out_repeated_or_put_in_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("audit")
    head = write(directory, [event_record("started")], [KEY, KEY], [KEY], rotate_bytes=700)
    path = path_of(directory, data.draw(st.sampled_from(numbers_in(directory))))
    true = path.read_bytes()
    start = data.draw(st.integers(0, len(true)))
    end = data.draw(st.integers(start, len(true)))
    lines = true.splitlines(keepends=True)
    altered = data.draw(
        st.sampled_from(
            [
                true[:start] + true[end:],
                true[:end] + true[start:end] + true[end:],
                true[:start] + data.draw(st.binary(max_size=40)) + true[end:],
                b"".join(data.draw(st.permutations(lines))),
            ]
        )
    )
    path.write_bytes(altered)
    assert verify(directory, head).whole == (altered == true)


def test_a_missing_file_and_a_file_of_another_log(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for directory in (one, other):
        write(directory, *([[KEY]] * 5), rotate_bytes=200)
    path_of(one, 3).rename(tmp_path / "away")
    assert verify(one).problems[0].what == "file 3 is missing"
    write(tmp_path / "third", [KEY, KEY], *([[KEY]] * 4), rotate_bytes=200)
    path_of(tmp_path / "third", 3).rename(path_of(one, 3))
    assert where(verify(one)) == ("audit-00000003.jsonl", 1)


def test_the_end_that_was_cut_off_is_known_by_an_anchor_only(tmp_path: Path) -> None:
    earlier = write(tmp_path, [KEY])
    cut = path_of(tmp_path, 1).read_bytes()
    head = write(tmp_path, [KEY])
    path_of(tmp_path, 1).write_bytes(cut)
    assert verify(tmp_path, earlier).whole
    assert "does not hold the seal" in verify(tmp_path, head).problems[0].what


def test_a_log_that_was_written_anew_is_known_by_an_anchor_only(tmp_path: Path) -> None:
    head = write(tmp_path / "true", [KEY], [KEY])
    write(tmp_path / "false", [KEY], [event_record("nothing happened")])
    assert verify(tmp_path / "false").whole
    assert not verify(tmp_path / "false", head).whole


def test_a_write_cut_short_at_any_byte(tmp_path: Path) -> None:
    """Not whole while nobody has told of it; whole again after the node's next start, and what is left is evidence."""
    write(tmp_path / "whole", [KEY], [KEY, KEY])
    true = path_of(tmp_path / "whole", 1).read_bytes()
    boundary = true.index(b"\n", true.index(b'{"seal"')) + 1
    for cut in range(1, len(true)):
        directory = tmp_path / str(cut)
        directory.mkdir()
        path_of(directory, 1).write_bytes(true[:cut])
        before = verify(directory)
        assert before.whole == (cut == boundary)
        if not before.whole:
            assert "without a seal" in before.problems[0].what
        write(directory, [event_record("started")])
        after = verify(directory)
        assert after.whole, after
        assert after.cut_short == ([] if cut == boundary else ["audit-00000002.jsonl"])
        assert path_of(directory, 1).read_bytes()[:cut] == true[:cut]


@pytest.mark.parametrize(
    "alter",
    [lambda left: left[:-1], lambda left: left + b"x", lambda left: bytes([left[0] ^ 1]) + left[1:], lambda left: b""],
)
def test_what_a_crash_left_is_evidence_that_nobody_alters(tmp_path: Path, alter: Callable[[bytes], bytes]) -> None:
    write(tmp_path, [KEY], [KEY])
    path = path_of(tmp_path, 1)
    true = path.read_bytes()
    sealed = true.index(b"\n", true.index(b'{"seal"')) + 1
    left = true[sealed:-3]
    path.write_bytes(true[:-3])
    write(tmp_path, [event_record("started")])
    assert verify(tmp_path).whole
    path.write_bytes(true[:sealed] + alter(left))
    assert where(verify(tmp_path)) == ("audit-00000002.jsonl", 1)


def test_an_alteration_does_not_pass_for_a_crash_when_the_node_starts_again(tmp_path: Path) -> None:
    write(tmp_path, [KEY], [KEY], [KEY])
    path = path_of(tmp_path, 1)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"sae":"a"', b'"sae":"x"')
    path.write_bytes(b"".join(lines))
    log = AuditLog(tmp_path, ALICE, VirtualClock(), AuditOptions())
    assert log.left_unsealed is not None
    assert log.left_unsealed.misfits == 2
    log.write([event_record("started")])
    log.close()
    verdict = verify(tmp_path)
    assert where(verdict) == ("audit-00000001.jsonl", 5)
    assert [problem.line for problem in verdict.problems] == [5]


def test_records_that_a_good_seal_covers_must_make_sense(tmp_path: Path) -> None:
    path = path_of(tmp_path, 1)
    chain = Chain()
    first = json.dumps(
        {"begin": 1, "kme": "alice", "file": 1, "time": "", "previous": GENESIS.hex(), "records": 0},
        separators=(",", ":"),
    )
    path.write_bytes(chain.batch([b'"event":"x"', b'"nothing":1'], 0.0, first.encode() + b"\n"))
    assert [(p.line, p.what) for p in verify(tmp_path).problems] == [(3, "no record")]
    chain = Chain(records=7)
    path.write_bytes(chain.batch([b'"event":"x"'], 0.0, first.encode() + b"\n"))
    assert [(p.line, p.what) for p in verify(tmp_path).problems] == [(2, "not record 0")]


@given(st.binary(max_size=300))
def test_whatever_the_file_holds_verification_ends(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    directory = tmp_path_factory.mktemp("audit")
    path_of(directory, 1).write_bytes(junk)
    assert verify(directory).whole == (junk == b"")
