"""`keyhop pki` as a person types it, and what the command line does with failures."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keyhop.cli import main

Run = pytest.CaptureFixture[str]


def keyhop(*arguments: str | Path) -> int:
    """The exit code of the command, run in this process."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_the_life_of_a_certificate(tmp_path: Path, capsys: Run) -> None:
    here = ("--dir", tmp_path / "pki", "--json")
    assert keyhop("pki", "init", *here) == 0
    assert keyhop("pki", "node", "alice", "--host", "127.0.0.1", "--host", "kme.example", *here) == 0
    assert keyhop("pki", "sae", "alicesae", "--uri", "urn:example:1", *here) == 0
    assert keyhop("pki", "renew", "alicesae", "--days", "10", *here) == 0
    assert keyhop("pki", "revoke", "alicesae", *here) == 0
    capsys.readouterr()
    assert keyhop("pki", "list", *here) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(i["name"], i["kind"], i["state"]) for i in listed] == [
        ("alice", "node", "valid"),
        ("alicesae", "sae", "revoked"),
        ("alicesae", "sae", "revoked"),
    ]
    assert keyhop("pki", "show", "alice", *here) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["hosts"] == ["127.0.0.1", "kme.example"]
    assert Path(shown["certificate"]).exists()
    assert Path(shown["key"]).exists()


def test_a_piped_table_is_plain(tmp_path: Path, capsys: Run) -> None:
    keyhop("pki", "init", "--dir", tmp_path)
    keyhop("pki", "sae", "alicesae", "--dir", tmp_path)
    capsys.readouterr()
    assert keyhop("pki", "list", "--dir", tmp_path) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "kind", "state", "not_after", "serial"]
    assert row.split()[:3] == ["alicesae", "sae", "valid"]
    assert row.isascii()


def test_the_directory_comes_from_the_environment_too(
    tmp_path: Path, capsys: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYHOP_PKI_DIR", str(tmp_path))
    assert keyhop("pki", "init") == 0
    assert keyhop("pki", "show", "nobody") == 1
    assert "never issued a certificate to nobody" in capsys.readouterr().err
    assert keyhop("pki", "revoke", "nobody") == 1
    assert f"hint: see: keyhop pki list --dir {tmp_path}\n" in capsys.readouterr().err


def test_a_failure_is_an_error_a_hint_and_exit_code_1(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "keyhop", "pki", "list", "--dir", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    error, hint = ended.stderr.splitlines()
    assert error.startswith("error: cannot load the authority in ")
    assert hint == f"hint: make one with: keyhop pki init --dir {tmp_path}"


def test_a_file_that_cannot_be_made_needs_no_traceback(tmp_path: Path, capsys: Run) -> None:
    (tmp_path / "file").touch()
    assert keyhop("pki", "init", "--dir", tmp_path / "file") == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'file'}")


def test_wrong_usage_is_exit_code_2(capsys: Run) -> None:
    assert keyhop("pki", "node", "alice") == 2
    assert keyhop("no-such-noun") == 2
    assert "no-such-noun" in capsys.readouterr().err


def test_the_version(capsys: Run) -> None:
    assert keyhop("--version") == 0
    assert capsys.readouterr().out.startswith("keyhop 0.")


def test_the_help_names_every_noun(capsys: Run) -> None:
    assert keyhop("--help") == 0
    shown = capsys.readouterr().out
    assert all(noun in shown for noun in ("demo", "key", "lab", "node", "pki"))


def test_a_fresh_revocation_list(tmp_path: Path, capsys: Run) -> None:
    here = ("--dir", tmp_path / "pki", "--json")
    assert keyhop("pki", "init", *here) == 0
    old = (tmp_path / "pki" / "crl.pem").read_bytes()
    capsys.readouterr()
    assert keyhop("pki", "crl", *here) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["crl"], shown["revoked"]) == (str(tmp_path / "pki" / "crl.pem"), 0)
    assert shown["expires"] > datetime.now(UTC).isoformat()
    assert (tmp_path / "pki" / "crl.pem").read_bytes() != old
    assert keyhop("pki", "crl", "--dir", tmp_path / "pki") == 0
    assert "to every node" in capsys.readouterr().err
