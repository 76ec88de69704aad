"""`keyhop simulate` as a person types it."""

import json
from typing import Any

import pytest

from keyhop.cli import main
from keyhop.core.records import RecordBook
from keyhop.testing.simulation import draw, run

Run = pytest.CaptureFixture[str]


def keyhop(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    return code if isinstance(code, int) else 0


def document(capsys: Run) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slave may fetch a record as often as it likes."""
    monkeypatch.setattr(RecordBook, "deliver", lambda self, key_id, slave: self._records[key_id].key)


def test_schedules_are_counted(capsys: Run) -> None:
    assert keyhop("simulate", "--seeds", "3", "--from", "5", "--jobs", "1", "--network", "pair", "--json") == 0
    told = document(capsys)
    assert told["schedules"] == 3
    assert told["violation"] is None
    assert told["happened"]["asked"] > 0


def test_processes_share_the_seeds(capsys: Run) -> None:
    assert keyhop("simulate", "--seeds", "4", "--jobs", "2", "--json") == 0
    assert document(capsys)["schedules"] == 4


def test_a_seed_has_a_story_and_a_digest(capsys: Run) -> None:
    assert keyhop("simulate", "--seed", "3", "--story") == 0
    *story, last = capsys.readouterr().out.splitlines()
    assert any("asks for" in line for line in story)
    assert run(draw(3)).trace.digest() in last


@pytest.mark.usefixtures("bug")
def test_a_broken_promise_is_shortened_and_can_be_repeated(capsys: Run) -> None:
    assert keyhop("simulate", "--seeds", "50", "--jobs", "1") == 1
    told = capsys.readouterr()
    story = told.out.splitlines()
    assert "PROMISE BROKEN: promise 3" in told.out
    actions = [line for line in story if "── action" in line]
    assert 1 <= len(actions) <= 6
    hint = told.err.splitlines()[-1].removeprefix("hint: keyhop ")
    assert keyhop(*hint.split(), "--json") == 1
    again = document(capsys)
    assert again["violation"]["promise"] == 3
    assert again["story"][-1] == story[-1]


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("--network", "moon", "there is no network moon"),
        ("--only", "a,b", "--only a,b: shall be numbers of actions"),
        ("--only", "0,999999", "there is no action 999999; they are 0 to "),
        ("--only", "-1", "there is no action -1"),
    ],
)
def test_wrong_values_are_said(option: str, value: str, error: str, capsys: Run) -> None:
    assert keyhop("simulate", "--seed", "1", option, value) == 2
    assert error in capsys.readouterr().err


@pytest.mark.parametrize("options", [("--story",), ("--only", "3")])
def test_what_is_of_one_seed_is_refused_for_many(options: tuple[str, ...], capsys: Run) -> None:
    assert keyhop("simulate", "--seeds", "1", "--jobs", "1", *options) == 2
    assert "name it with --seed" in capsys.readouterr().err


def test_the_environment_names_the_options(monkeypatch: pytest.MonkeyPatch, capsys: Run) -> None:
    monkeypatch.setenv("KEYHOP_SIMULATE_STORY", "1")
    monkeypatch.setenv("KEYHOP_SIMULATE_FROM", "-1")
    assert keyhop("simulate", "--seed", "3") == 2
    assert "--from" in capsys.readouterr().err
    monkeypatch.delenv("KEYHOP_SIMULATE_FROM")
    assert keyhop("simulate", "--seed", "3") == 0
    assert "asks for" in capsys.readouterr().out
