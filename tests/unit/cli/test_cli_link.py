"""`keyhop link`, against a management API that really listens."""

import json

import pytest
from answering_node import keyhop, node


def test_links_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with node([]) as url:
        assert keyhop("link", "list", "--url", url) == 0
        listed = capsys.readouterr().out.splitlines()
        assert listed[0].split("\t") == ["node", "link", "peer", "kind", "state", "SBR kbit/s", "QBER %", "blocks"]
        row = ["alice", "a-b", "bob", "rate (no physics)", "stopped: QBER", "726.0", "3.22", "7"]
        assert listed[1].split("\t") == row
        assert keyhop("link", "list", "--url", url, "--json") == 0
        (link,) = json.loads(capsys.readouterr().out)
        assert (link["node"], link["id"], link["qber"]) == ("alice", "a-b", 0.0322)
        assert keyhop("link", "show", "a-b", "--url", url) == 0
        assert "at node\talice" in capsys.readouterr().out


def test_links_are_started_stopped_and_watched(capsys: pytest.CaptureFixture[str]) -> None:
    with node([]) as url:
        assert keyhop("link", "start", "a-b", "--url", url) == 0
        assert keyhop("link", "stop", "a-b", "--url", url, "--json") == 0
        capsys.readouterr()
        assert keyhop("link", "show", "a-b", "--url", url, "--json") == 0
        (shown,) = json.loads(capsys.readouterr().out)
        assert [event["alarm"] for event in shown["activity"]] == [False, True]
        assert keyhop("link", "watch", "a-b", "--url", url, "--count", "1") == 0
        told = capsys.readouterr().out
        assert "ALARM stopped by a \N{REPLACEMENT CHARACTER}[31mtest" in told
        assert "stopped  SBR 726.0 kbit/s  QBER 3.22 %" in told
        assert keyhop("link", "watch", "a-b", "--url", url, "--count", "1", "--json") == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line.get("text", line.get("state")) for line in lines][-1] == "stopped"


def test_a_link_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with node([]) as url:
        for command in ("show", "start", "stop"):
            assert keyhop("link", command, "b-a", "--url", url) == 1
            told = capsys.readouterr().err.splitlines()
            assert told == ["error: there is no link `b-a`", "hint: the links are: a-b"]
    assert keyhop("link", "list", "--url", url) == 1
    assert f"no node answers at {url}" in capsys.readouterr().err
    assert keyhop("link", "list") == 2
