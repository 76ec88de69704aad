"""Tables: whole on any terminal, one line per row and tabs between cells when piped."""

import io
import sys

import pytest

from keyhop.cli.output import print_error, print_json_error, print_table

COLUMNS = ("node", "state", "URL")
ROWS = [("alice", "not ready: peer bob", "https://127.0.0.1:18443"), ("bob", "ready", "https://127.0.0.1:28443")]


class Terminal(io.StringIO):
    """Stands where a terminal would."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, columns: int) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", terminal := Terminal())
        print_table(COLUMNS, ROWS)
    return terminal.getvalue()


def test_piped_cells_are_separated_by_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("alice", "two\nlines\tand a tab", "x")])
    header, row = capsys.readouterr().out.splitlines()
    assert header.split("\t") == list(COLUMNS)
    assert row.split("\t") == ["alice", "two lines\N{REPLACEMENT CHARACTER}and a tab", "x"]


def test_a_wide_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, 120).splitlines()
    assert lines[0].startswith("┏")
    (alice,) = (line for line in lines if "alice" in line)
    assert ROWS[0][1] in alice
    assert ROWS[0][2] in alice


def test_a_narrow_terminal_cuts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 30).splitlines() == [
        "node   alice",
        "state  not ready: peer bob",
        "URL    https://127.0.0.1:18443",
        "",
        "node   bob",
        "state  ready",
        "URL    https://127.0.0.1:28443",
        "",
    ]


def test_an_error_as_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json_error("no\nkey", "wait", 503)
    assert capsys.readouterr().err == '{"error": "no\\nkey", "hint": "wait", "status": 503}\n'


def test_an_error_shows_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("a\x1b[31mb")
    assert capsys.readouterr().err == "error: a\N{REPLACEMENT CHARACTER}[31mb\n"
