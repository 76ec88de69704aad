"""`keyhop node check`: what a node.toml makes, and what is wrong with it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from answering_node import keyhop

from keyhop.lab.layout import Layout
from keyhop.lab.setup import set_up
from keyhop.lab.topology import load_topology
from keyhop.pki import create_authority

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
