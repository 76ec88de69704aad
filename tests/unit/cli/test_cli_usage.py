"""Wrong usage is said as every other error: `error:`, `hint:`, and exit status 2."""

import pytest

from keyhop.cli import main


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["nosuch"], "No such command 'nosuch'.", "keyhop --help"),
        (["lab", "up", "--nope"], "No such option: --nope", "keyhop lab up --help"),
        (["key", "get"], "Missing argument 'slave'.", "keyhop key get --help"),
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
