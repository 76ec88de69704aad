"""The pre-flight: whatever would keep a node from starting is found before it starts, and changes nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from keyhop.core.clock import SystemClock
from keyhop.core.errors import ConfigurationError
from keyhop.node.config import parse_config
from keyhop.node.preflight import preflight
from keyhop.pki import create_authority

CONFIG = """
[node]
id = "alice"
lab = true
data_dir = "state/alice"
[tls]
ca = "pki/ca.pem"
certificate = "pki/nodes/alice.pem"
key = "pki/nodes/alice.key"
crl = "pki/crl.pem"
[store]
key_file = "state/alice/store.key"
[[kmes]]
id = "bob"
peer_address = "127.0.0.1:1"
[[links]]
id = "alice-bob"
peer = "bob"
kind = "rate"
secret_file = "link.secret"
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    create_authority(tmp_path / "pki").issue_node("alice", ["127.0.0.1"])
    write_secret(tmp_path / "link.secret", "5a" * 32)
    return tmp_path


def write_secret(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def fly(here: Path, config: str = CONFIG) -> None:
    preflight(parse_config(config, here), SystemClock())


def test_what_is_in_order_passes_and_stays_as_it_was(here: Path) -> None:
    before = sorted(here.rglob("*"))
    fly(here)
    assert sorted(here.rglob("*")) == before


FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (lambda here: (here / "pki/nodes/alice.key").chmod(0o644), "alice.key: others may use it"),
    (lambda here: (here / "pki/crl.pem").unlink(), "crl.pem: .*No such file"),
    (lambda here: (here / "pki/crl.pem").write_text("no PEM"), "cannot use the revocation list"),
    (lambda here: (here / "link.secret").chmod(0o644), "link.secret can be read by others"),
    (lambda here: (here / "link.secret").write_text("5a"), "link.secret does not hold 32 bytes"),
    (lambda here: (here / "link.secret").unlink(), "cannot read the secret_file"),
    (lambda here: (here / "state").touch(), "data_dir .*/state/alice: .*/state is not a directory"),
    (lambda here: write_secret(here / "state/alice/store.key", "5a"), "store.key shall hold 32 bytes"),
    (lambda here: (here / "state/alice/store.key").mkdir(parents=True, mode=0o700), "key_file .*: Is a directory"),
]


@pytest.mark.parametrize(("hurt", "message"), FAULTS)
def test_what_would_keep_the_node_from_starting(here: Path, hurt: Callable[[Path], object], message: str) -> None:
    hurt(here)
    with pytest.raises(ConfigurationError, match=message):
        fly(here)


def test_a_lab_link_outside_a_lab(here: Path) -> None:
    with pytest.raises(ConfigurationError, match="labs only"):
        fly(here, CONFIG.replace("lab = true", "lab = false"))


def test_a_store_key_where_there_is_no_directory(here: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no directory .*/keys"):
        fly(here, CONFIG.replace("state/alice/store.key", "keys/store.key"))


def test_a_store_whose_key_is_lost_is_refused_and_no_new_key_made(here: Path) -> None:
    write_secret(here / "state/alice/store.db", "")
    with pytest.raises(ConfigurationError, match=r"store\.key is missing") as refusal:
        fly(here)
    assert "restore the key file" in (refusal.value.hint or "")
    assert not (here / "state/alice/store.key").exists()


def test_a_witness_where_there_is_no_directory(here: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"witness .*: there is no directory .*/elsewhere"):
        fly(here, CONFIG.replace("[store]", '[store]\nwitness = "elsewhere/witness"'))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_witness_that_this_user_may_not_write(here: Path) -> None:
    (here / "witness").touch(mode=0o400)
    with pytest.raises(ConfigurationError, match="this user may not write it"):
        fly(here, CONFIG.replace("[store]", '[store]\nwitness = "witness"'))


def test_a_store_in_memory_needs_no_directory_but_the_audit_log_does(here: Path) -> None:
    (here / "state").touch()
    in_memory = CONFIG.replace("[store]", '[store]\nkind = "memory"')
    fly(here, in_memory + '[audit]\ndirectory = "audit"\n')
    with pytest.raises(ConfigurationError, match=r"\[audit\] directory .*/state/alice/audit: .*/state is not a dir"):
        fly(here, in_memory)
