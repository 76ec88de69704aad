"""`keyhop audit` as a person types it."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyhop.audit.files import path_of
from keyhop.audit.log import AuditLog, AuditOptions
from keyhop.cli import main
from keyhop.core.audit import event_record
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.memory import MemoryStore
from keyhop.service.audit import AuditedReplies, Handover
from keyhop.service.requests import KeyRun, Keys
from keyhop.testing.virtual import VirtualClock

Run = pytest.CaptureFixture[str]
FIRST, SECOND, THIRD = (bytes([i]) * 16 for i in (1, 2, 0xAB))
FIRST_TEXT, THIRD_TEXT = "01010101-0101-0101-0101-010101010101", "abababab-abab-abab-abab-abababababab"


def keyhop(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """alice's log of a day on which `a, "b"` got two keys at once and, a minute later, b1 another one."""
    clock = VirtualClock()
    clock.advance(1769860800 - clock.wall())  # 2026-01-31T12:00:00Z
    log = AuditLog(tmp_path / "audit", KmeId("alice"), clock, AuditOptions())
    journal = Journal(MemoryStore(), lambda: None, log)
    replies = AuditedReplies(journal)
    journal.record(event_record("started"))

    def give(call: str, sae: str, ids: bytes, size: int) -> None:
        keys = Keys((KeyRun(ids, size, KeyMaterial(bytes(size * len(ids) // 16))),))
        master, slave, paths = SaeId('a, "b"'), SaeId("b1"), ((KmeId("alice"), KmeId("bob")),)
        handover = Handover("enc_keys", "etsi014", SaeId(sae), master, (slave, SaeId("b2")), paths, "bb84")
        replies.give(keys, {handover: keys.runs}, lambda answer: None)
        journal.flush()

    give("enc_keys", 'a, "b"', FIRST + SECOND, 32)
    clock.advance(60)
    give("dec_keys", "b1", THIRD, 64)
    yield tmp_path / "audit"
    log.close()


def rows(directory: Path, capsys: Run, *options: str) -> list[dict[str, str]]:
    assert keyhop("audit", "export", directory, *options) == 0
    return list(csv.DictReader(capsys.readouterr().out.splitlines()))


def test_a_whole_log_is_verified_while_it_is_written(directory: Path, capsys: Run) -> None:
    assert keyhop("audit", "verify", directory, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kme"], told["records"], told["whole"], told["problems"]) == ("alice", 3, True, [])
    assert keyhop("audit", "verify", directory, "--anchor", told["head"]) == 0
    assert f"head\t{told['head']}" in capsys.readouterr().out


def test_an_altered_log_names_the_first_bad_line(directory: Path, capsys: Run) -> None:
    path = path_of(directory, 1)
    path.write_bytes(path.read_bytes().replace(b'"sae":"b1"', b'"sae":"b3"'))
    assert keyhop("audit", "verify", directory, "--json") == 1
    out, err = capsys.readouterr()
    (problem,) = json.loads(out)["problems"]
    assert (problem["file"], problem["line"]) == ("audit-00000001.jsonl", 6)
    assert "the log is not whole: audit-00000001.jsonl, line 6: the seal does not fit" in json.loads(err)["error"]
    assert keyhop("audit", "verify", directory) == 1
    assert "whole\tno" in capsys.readouterr().out


def test_an_anchor_that_is_not_there(directory: Path, capsys: Run) -> None:
    assert keyhop("audit", "verify", directory, "--anchor", "0f" * 32) == 1
    assert f"does not hold the seal {'0f' * 32}" in capsys.readouterr().err
    assert keyhop("audit", "verify", directory, "--anchor", "head") == 1
    assert "hint: it has 64 hexadecimal digits" in capsys.readouterr().err


def test_a_directory_without_a_log(tmp_path: Path, capsys: Run) -> None:
    assert keyhop("audit", "verify", tmp_path) == 1
    assert keyhop("audit", "export", tmp_path) == 1
    assert keyhop("audit", "export", tmp_path / "nowhere") == 1
    assert "Traceback" not in capsys.readouterr().err


def test_export_has_a_row_for_each_key(directory: Path, capsys: Run) -> None:
    first, second, third = rows(directory, capsys)
    assert first == {
        "time": "2026-01-31T12:00:00+00:00",
        "seq": "1",
        "call": "enc_keys",
        "interface": "etsi014",
        "sae": 'a, "b"',
        "master": 'a, "b"',
        "slaves": "b1 b2",
        "paths": "alice>bob",
        "source": "bb84",
        "size_bits": "256",
        "key_id": FIRST_TEXT,
    }
    assert (second["seq"], third["seq"], third["size_bits"], third["key_id"]) == ("1", "2", "512", THIRD_TEXT)


def test_export_as_json_has_a_line_for_each_key(directory: Path, capsys: Run) -> None:
    assert keyhop("audit", "export", directory, "--json", "--key-id", THIRD_TEXT.upper()) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["key_id"], row["slaves"], row["size_bits"]) == (THIRD_TEXT, ["b1", "b2"], 512)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--sae", "b1"], [THIRD_TEXT]),
        (["--sae", "b2"], []),
        (["--since", "2026-01-31T12:00:30Z"], [THIRD_TEXT]),
        (["--since", "2026-01-31T13:00:30+01:00"], [THIRD_TEXT]),
        (["--since", "2026-02-01"], []),
        (["--until", "2026-01-31T12:01"], [FIRST_TEXT, "02020202-0202-0202-0202-020202020202"]),
        (["--key-id", FIRST_TEXT], [FIRST_TEXT]),
        (["--key-id", "10101010-1010-1010-1010-101010101010"], []),
    ],
)
def test_export_of_a_part(directory: Path, capsys: Run, options: list[str], wanted: list[str]) -> None:
    assert [row["key_id"] for row in rows(directory, capsys, *options)] == wanted


@pytest.mark.parametrize("options", [["--since", "noon"], ["--key-id", "1"]])
def test_wrong_options_are_told(directory: Path, capsys: Run, options: list[str]) -> None:
    assert keyhop("audit", "export", directory, *options) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_row_ends_as_a_line_does(directory: Path, capsys: Run) -> None:
    assert keyhop("audit", "export", directory, "--key-id", THIRD_TEXT) == 0
    assert capsys.readouterr().out.endswith(f",{THIRD_TEXT}\n")


@pytest.mark.parametrize("command", ["export", "verify"])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_of_a_directory_without_a_log_there_is_an_error_only(
    tmp_path: Path, capsys: Run, command: str, options: list[str]
) -> None:
    assert keyhop("audit", command, tmp_path, *options) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "there is no audit log in" in told.err
