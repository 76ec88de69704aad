"""`keyhop node check` and `keyhop node status`, against a management API that really listens."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from keyhop.cli import main
from keyhop.core.errors import LinkError
from keyhop.core.ids import KmeId, LinkId
from keyhop.lab.layout import Layout
from keyhop.lab.setup import set_up
from keyhop.lab.topology import load_topology
from keyhop.node.management import management_app
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion
from keyhop.node.state import (
    AuditInfo,
    AvoidedEdge,
    Disturbance,
    Fairness,
    GatewayInfo,
    LinkActivity,
    LinkInfo,
    LinkSample,
    NodeInfo,
    PeerInfo,
    PskInfo,
    Readiness,
    RelayInfo,
    StreamInfo,
    TopologyEdge,
    TopologyInfo,
    TopologyNode,
)
from keyhop.pki import create_authority

ALICE, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")

CONFIG = """
[node]
id = "alice"
lab = true
[tls]
ca = "pki/ca.pem"
certificate = "pki/nodes/alice.pem"
key = "pki/nodes/alice.key"
crl = "pki/crl.pem"
[[kmes]]
id = "bob"
peer_address = "127.0.0.1:1"
[[saes]]
id = "alicesae"
kme = "alice"
[[links]]
id = "alice-bob"
peer = "bob"
kind = "rate"
secret_file = "link.secret"
"""

GATEWAY = GatewayInfo(
    KmeId("cambridge"),
    "https://kms:8446",
    "1.1.1",
    False,
    "it does not answer",
    ["v1"],
    3,
    2,
    {"relayed": 7, "voided": 1},
    {"relayed": 5},
)


class View:
    def __init__(self, missing: list[str], restored: str | None = None) -> None:
        self._missing = missing
        self._restored = restored
        self._activity: list[LinkActivity] = []

    def node(self) -> NodeInfo:
        return NodeInfo(ALICE, "0.1", 1_700_000_000.0, 42, witness=True, restored=self._restored)

    def links(self) -> list[LinkInfo]:
        return [LinkInfo(LinkId("a-b"), BOB, "rate", False, "stopped", "QBER", 726_000.0, 0.0322, 7)]

    def streams(self) -> list[StreamInfo]:
        return [StreamInfo(ALICE, BOB, "direct", "owner", 3, 100, 50, 10, 20, 5, 4, 8, 0, 3, 2, 6, 1, True)]

    def policy(self, question: PolicyQuestion) -> PolicyCheck:
        return PolicyCheck(ALICE, question.master, question.slave, True, False, [], [])

    def topology(self) -> TopologyInfo:
        nodes = [TopologyNode(BOB, True, 0.25), TopologyNode(CAROL, False, None)]
        edges = [TopologyEdge(ALICE, BOB, 4096, 1000, 4), TopologyEdge(BOB, ALICE, 512, 1000, 4)]
        return TopologyInfo(nodes, edges, [[ALICE, BOB], [CAROL]], [AvoidedEdge("alice→bob", "no answer")])

    def gateways(self) -> list[GatewayInfo]:
        return [GATEWAY]

    def relay(self) -> RelayInfo:
        return RelayInfo("hop-by-hop", "prefetch", [Fairness(4, 0.875)], {})

    def audit(self) -> AuditInfo:
        return AuditInfo(17, "ab" * 32)

    def peers(self) -> list[PeerInfo]:
        return [
            PeerInfo(BOB, True, False, None),
            PeerInfo(CAROL, True, True, 1.0, psk=PskInfo(12, 11, 1_700_000_000.5, "there is no path")),
        ]

    def readiness(self) -> Readiness:
        return Readiness(not self._missing, self._missing)

    def metrics(self) -> bytes:
        return b""

    def link(self, link: LinkId) -> LinkInfo:
        return {each.id: each for each in self.links()}[link]

    def link_series(self, link: LinkId) -> list[LinkSample]:
        self.link(link)
        return []

    def link_activity(self, link: LinkId) -> list[LinkActivity]:
        self.link(link)
        return [*self._activity]

    def link_disturbance(self, link: LinkId) -> Disturbance:
        raise LinkError("the line of link a-b is not simulated")

    async def start_link(self, link: LinkId) -> None:
        self.link(link)
        self._activity.append(LinkActivity(time.time() + 1, False, "started"))

    async def stop_link(self, link: LinkId) -> None:
        self.link(link)
        self._activity.append(LinkActivity(time.time() + 2, True, "stopped by a \x1b[31mtest"))

    def disturb_link(self, link: LinkId, disturbance: Disturbance) -> None:
        raise LinkError("only in a lab")


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def node(missing: list[str], restored: str | None = None) -> AbstractContextManager[str]:
    return serving(management_app(View(missing, restored)))


def test_a_running_node_is_asked_about_two_saes(capsys: pytest.CaptureFixture[str]) -> None:
    with node([]) as url, pytest.raises(SystemExit) as end:
        main(["policy", "check", "--url", url, "--master", "a/ä", "--slave", "b", "--size", "512", "--json"])
    assert end.value.code == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["master"], answer["slave"], answer["live"]) == ("a/ä", "b", True)


def keyhop(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    authority = create_authority(tmp_path / "pki")
    authority.issue_node("alice", ["127.0.0.1"])
    secret = tmp_path / "link.secret"
    secret.touch(mode=0o600)
    secret.write_text("5a" * 32)
    path = tmp_path / "node.toml"
    path.write_text(CONFIG)
    return path


def test_check_says_what_the_configuration_makes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keyhop("node", "check", "--config", str(config)) == 0
    shown = capsys.readouterr()
    assert "alice-bob (rate, to bob)" in shown.out
    assert "can be used" in shown.err
    assert "[store] witness is not set" in shown.err
    assert keyhop("node", "check", "--config", str(config), "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["id"], summary["saes"]) == ("alice", ["alicesae"])
    assert [summary[f"{which}_size_bits"] for which in ("min", "default", "max")] == [64, 256, 8192]


def test_check_shows_the_witness(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text() + '[store]\nwitness = "witness"\n')
    assert keyhop("node", "check", "--config", str(config)) == 0
    shown = capsys.readouterr()
    assert str(config.parent / "witness") in shown.out
    assert str(config.parent / "data" / "audit") in shown.out
    assert "[store] witness" not in shown.err


def test_check_shows_the_way_to_other_domains(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text() + '[[foreign_saes]]\nkme = "bob"\nsaes = ["far-*"]\n')
    assert keyhop("node", "check", "--config", str(config), "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["gateways"], summary["foreign_saes"]) == ([], ["far-* (by bob)"])


def test_check_shows_how_psks_are_listened_for_and_refreshed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    psk = config.parent / "bob.psk"
    psk.touch(0o600)
    psk.write_text("5b" * 32)
    text = config.read_text().replace('id = "bob"', 'id = "aaron"\npsk_file = "bob.psk"').replace("bob", "aaron")
    config.write_text(
        text.replace("aaron.psk", "bob.psk") + '[peers]\npsk_listen = "127.0.0.1:1"\npsk_refresh_s = 60\n'
    )
    assert keyhop("node", "check", "--config", str(config), "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["peers_psk"], summary["psk_refresh_s"]) == ("127.0.0.1:1", 60.0)
    assert summary["kmes"] == ["aaron (PSK)"]


def test_check_says_what_a_bb84_link_will_give(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = Layout(tmp_path)
    set_up(layout, load_topology("two-sites"))
    path = layout.config("bob")
    assert keyhop("node", "check", "--config", str(path)) == 0
    shown = capsys.readouterr()
    name, sbr_kbps, qber, round_s = shown.out.splitlines()[-1].split("\t")
    assert (name, qber) == ("alice-bob", "3.20")
    assert 700 < float(sbr_kbps) < 750
    assert float(round_s) > 0
    assert "no key" not in shown.err
    path.write_text(re.sub(r"block_bits = \d+", "block_bits = 20000", path.read_text()))
    assert keyhop("node", "check", "--config", str(path), "--json") == 0
    shown = capsys.readouterr()
    (plan,) = json.loads(shown.out)["planned"]
    assert (plan["secret_bps"], plan["remedy"].partition(":")[0]) == (0.0, "raise block_bits")
    assert "link alice-bob: no key with these settings" in shown.err


def test_check_names_the_mistake_without_a_traceback(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CONFIG.replace("lab =", "lba ="))
    assert keyhop("node", "check", "--config", str(config)) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        f'error: {config}: unknown key "lba" in [node]',
        'hint: did you mean "lab"?',
    ]


def test_check_names_a_missing_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = config.parent / "pki" / "nodes" / "alice.key"
    key.unlink()
    assert keyhop("node", "check", "--config", str(config)) == 1
    assert f"error: [tls] key {key}: No such file or directory" in capsys.readouterr().err


def test_check_and_run_refuse_the_same(config: Path) -> None:
    """In a process of its own, because a node that starts changes its process for good."""
    config.write_text(CONFIG.replace("lab = true", "lab = false"))
    checked, ran = (
        subprocess.run(
            [sys.executable, "-m", "keyhop", "node", verb, "--config", str(config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for verb in ("check", "run")
    )
    assert (checked.returncode, ran.returncode) == (1, 1)
    assert checked.stderr == ran.stderr
    assert checked.stderr.startswith("error: link alice-bob: kind 'rate' has no physics")


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
