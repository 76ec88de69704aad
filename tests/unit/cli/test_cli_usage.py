"""Wrong usage is said as every other error: `error:`, `hint:`, and exit status 2."""

import pytest

from keyhop.cli import main


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["nosuch"], "No such command 'nosuch'.", "keyhop --help"),
        (["lab", "up", "--nope"], "No such option: --nope", "keyhop lab up --help"),
        (
            ["lab", "up", "two-sites", "--dir", "lab", "--timeout", "0"],
            "Invalid value for '--timeout': Input should be greater than or equal to 0.001",
            "keyhop lab up --help",
        ),
        (["key", "get"], "Missing argument 'SLAVE'.", "keyhop key get --help"),
    ],
)
def test_wrong_usage(arguments: list[str], error: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {error}\nhint: see `{hint}`\n"


def test_a_noun_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["key"])
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert "fetch" in captured.out + captured.err
    assert "error:" not in captured.err


@pytest.mark.parametrize("command", [[], ["demo"], ["key", "get"]])
def test_help_is_also_h(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "-h"])
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "Usage: " + " ".join(["keyhop", *command]) in shown
    assert ("COMMAND" in shown) == (command == [])
    assert "KEYHOP_SHOW_VERSION" not in shown
    assert "COMPLETION" not in shown


def test_the_environment_cannot_make_every_command_print_the_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEYHOP_SHOW_VERSION", "1")
    monkeypatch.setenv("KEYHOP_SHOW_COMPLETION", "1")
    with pytest.raises(SystemExit) as ended:
        main(["key", "get"])
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""
