"""`keyhop node status`, and how the node that a command asks is named, against a management API that really listens."""

import json
import re
from pathlib import Path

import pytest
from answering_node import View, keyhop, node, serving
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from keyhop.cli import main
from keyhop.lab.layout import Layout
from keyhop.lab.setup import set_up
from keyhop.lab.topology import load_topology
from keyhop.node.state import (
    StreamInfo,
)
from keyhop.testing.shown_node import ALICE, BOB, CAROL


def test_a_running_node_is_asked_about_two_saes(capsys: pytest.CaptureFixture[str]) -> None:
    with node([]) as url, pytest.raises(SystemExit) as end:
        main(["policy", "check", "--url", url, "--master", "a/ä", "--slave", "b", "--size", "512", "--json"])
    assert end.value.code == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["master"], answer["slave"], answer["live"]) == ("a/ä", "b", True)


def test_status_of_a_ready_node(capsys: pytest.CaptureFixture[str]) -> None:
    with node([]) as url:
        assert keyhop("node", "status", "--url", url) == 0
    shown, told = capsys.readouterr()
    assert "bob\tyes\t0.2\ncarol\tno\t-\n" in shown
    assert "the network is partitioned, or nodes are down; its parts: alice, bob; carol" in told
    for text in ("alice", "ready", "rate (no physics)", "stopped: QBER", "726.0", "3.22", "certificate"):
        assert text in shown
    assert "PSK 12 of 2023-11-14 22:13:20Z, connected with 11, not refreshed: there is no path" in shown


@pytest.mark.parametrize("balanced", [True, False])
def test_status_shows_what_streams_hold_and_every_account_when_it_is_asked(
    balanced: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def streams(_: View) -> list[StreamInfo]:
        accounts = (100, 50, 10, 20, 5, 4, 8, 0, 3, 2, 6, 1)
        ours = StreamInfo(ALICE, BOB, "direct", "owner", 3, *accounts, balanced, 7.2, 1.9, 12.6)
        return [ours, StreamInfo(CAROL, ALICE, "relayed", "follower", 3, *accounts, True)]

    monkeypatch.setattr(View, "streams", streams)
    short = [
        "peer\troute\trole\tavailable bytes\tcoming B/s\tgoing B/s\trunway s",
        "bob\tdirect\towner\t50\t7\t2\t13",
        "carol\trelayed\tfollower\t50\t-\t-\t-",
    ]
    with node([]) as url:
        assert keyhop("node", "status", "--url", url) == 0
        shown, told = capsys.readouterr()
        assert shown.splitlines()[-3:] == short
        assert ("a stream is not balanced" in told) is not balanced
        assert keyhop("node", "status", "--url", url, "--all") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-6:-3] == short
    assert dict(zip(lines[-3].split("\t"), lines[-2].split("\t"), strict=True)) == {
        **{"peer": "bob", "route": "direct", "role": "owner", "epoch": "3", "produced": "100", "available": "50"},
        **{"leased": "10", "delivered": "20", "pad": "5", "mac": "4", "psk": "8", "seed": "0", "id_key": "3"},
        **{"voided": "2", "expired": "6", "burnt": "1", "balanced": "yes" if balanced else "no"},
    }


def test_status_of_a_node_that_found_an_old_store(capsys: pytest.CaptureFixture[str]) -> None:
    with node([], restored="its witness is missing") as url:
        assert keyhop("node", "status", "--url", url) == 0
    assert "an old copy and was discarded: its witness is missing" in capsys.readouterr().err


def test_status_as_json_and_the_exit_code_of_a_node_that_is_not_ready(capsys: pytest.CaptureFixture[str]) -> None:
    with node(["peer bob: not connected"]) as url:
        assert keyhop("node", "status", "--url", url, "--json") == 1
    state = json.loads(capsys.readouterr().out)
    assert state["readiness"] == {"ready": False, "missing": ["peer bob: not connected"]}
    assert state["node"]["id"] == "alice"
    assert state["streams"][0]["balanced"] is True
    assert state["topology"]["parts"] == [["alice", "bob"], ["carol"]]


@pytest.mark.parametrize(
    ("url", "reason", "hint"),
    [
        ("http://127.0.0.1:1", "connection refused", "hint: is it running?"),
        ("http://[", "", "hint: "),
        ("ftp://127.0.0.1", "that is no address", "hint: write http://host:port"),
        ("127.0.0.1:8444", "that is no address", "hint: write http://host:port"),
        ("no url", "that is no address", "hint: write http://host:port"),
        ("http://", "that is no address", "hint: write http://host:port"),
    ],
)
def test_status_where_no_node_answers(url: str, reason: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert keyhop("node", "status", "--url", url) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(f"error: no node answers at {url}: {reason}")
    assert told[1].startswith(hint)


@pytest.mark.parametrize("answer", [b"[]", b"{}", b"<html>", b'{"id": 1}', b"[" * 100_000])
def test_status_of_something_else_than_a_node(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(answer)(scope, receive, send)

    with serving(other) as url:
        assert keyhop("node", "status", "--url", url) == 1
    assert f"error: no node answers at {url}: what answers there is not a node" in capsys.readouterr().err


def test_one_place_to_ask_and_a_flag_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with node([]) as url:
        assert keyhop("link", "list", "--url", url, "--lab", str(tmp_path)) == 2
        assert "give either --url or --lab, not both" in capsys.readouterr().err
        monkeypatch.setenv("KEYHOP_LAB", str(tmp_path))
        assert keyhop("link", "list", "--url", url) == 0
        monkeypatch.setenv("KEYHOP_MANAGEMENT", url)
        assert keyhop("link", "list", "--lab", str(tmp_path)) == 1
        assert "there is no lab in" in capsys.readouterr().err
        assert keyhop("link", "list") == 2
        monkeypatch.delenv("KEYHOP_LAB")
        assert keyhop("link", "list") == 0


@pytest.mark.parametrize("command", [("node", "status"), ("policy", "check", "--master", "a", "--slave", "b")])
def test_a_node_is_named_alike_by_its_address_or_in_a_lab(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = ("--lab", str(tmp_path))
    set_up(Layout(tmp_path), load_topology("two-sites"))
    with node([]) as url:
        path = Layout(tmp_path).config("bob")
        address = url.removeprefix("http://")
        path.write_text(re.sub(r"(\[management\]\nlisten = )\"[^\"]+\"", rf'\1"{address}"', path.read_text()))
        answered = 1 if command[0] == "policy" else 0
        assert keyhop(*command, *lab, "--node", "bob") == answered
        capsys.readouterr()
        assert keyhop(*command) == 2
        assert "give --url, the management address of a node, or --lab and --node" in capsys.readouterr().err
        assert keyhop(*command, *lab) == 2
        assert "--lab needs --node" in capsys.readouterr().err
        assert keyhop(*command, *lab, "--node", "bbo") == 1
        assert "there is no node `bbo` in this lab" in capsys.readouterr().err
        assert keyhop(*command, "--url", url, "--node", "bob") == 2
        monkeypatch.setenv("KEYHOP_MANAGEMENT", url)
        capsys.readouterr()
        assert keyhop(*command) == answered
        assert "error" not in capsys.readouterr().err
