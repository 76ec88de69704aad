"""The shipped suite against our own nodes, through the command line."""

import json

import pytest

from keyhop.cli import main
from keyhop.lab import Lab

SAES = ("--master", "alicesae", "--slave", "bobsae", "--stranger", "bobsae2")


def test_our_nodes_conform_to_etsi_014(two_sites: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["conformance", "etsi014", "--lab", str(two_sites.directory), *SAES, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert [(r["name"], r["found"]) for r in report["results"] if r["verdict"] != "pass"] == []
    assert (ended.value.code, report["conforms"], report["fail"]) == (0, True, 0)


def test_a_table_and_an_exit_status_for_people(two_sites: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody listens at the slave's KME: what it takes both for fails."""
    inventory = two_sites.inventory()
    alice, bob = inventory.sae("alicesae"), inventory.sae("bobsae")
    arguments = ["--ca", inventory.ca, "--master", "alicesae", "--slave", "bobsae", "--master-cert", alice.cert]
    arguments += ["--master-key", alice.key, "--slave-cert", bob.cert, "--slave-key", bob.key]
    with pytest.raises(SystemExit) as ended:
        main(["conformance", "etsi014", inventory.kme("alice").etsi014_url, "https://127.0.0.1:1", *arguments])
    said = capsys.readouterr()
    assert ended.value.code == 1
    rows = [line.split("\t") for line in said.out.splitlines()]
    assert rows[0] == ["clause", "check", "level", "verdict", "found"]
    assert ["6.1", "key sizes fit together", "required", "pass", ""] in rows
    assert ["5.3", "a stranger is unauthorised", "required", "skipped", "needs a third SAE (--stranger-…)"] in rows
    assert "error: 8 required checks failed" in said.err
    assert "GET gives the same key: expected GET with a key_ID gives" in said.err


def test_who_is_somebody_else_is_told_so_once(two_sites: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """A certificate that is given counts, and not the lab's."""
    other = two_sites.inventory().sae("bobsae")
    arguments = ["--lab", str(two_sites.directory), *SAES, "--master-cert", other.cert, "--master-key", other.key]
    with pytest.raises(SystemExit) as ended:
        main(["conformance", "etsi014", *arguments])
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "error: 1 required checks failed" in said.err
    assert "found HTTP 401 to GET /api/v1/keys/bobsae/status" in said.err
    assert "not tried: the server did not let us in" in said.out


def test_whom_to_be_has_to_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["conformance", "etsi014", "https://127.0.0.1:1"])
    assert ended.value.code == 2
    assert "give --master and --slave" in capsys.readouterr().err
