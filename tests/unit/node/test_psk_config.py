"""node.toml of nodes that know each other by pre-shared keys."""

from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.node.config import NodeConfig, parse_config
from keyhop.node.from_config import psks

CONFIG = """
[node]
id = "bob"
[tls]
ca = "ca.pem"
certificate = "bob.pem"
key = "bob.key"
[peers]
psk_listen = "127.0.0.1:8446"
psk_refresh_s = 60
[[kmes]]
id = "alice"
peer_address = "127.0.0.1:1"
psk_file = "alice.psk"
[[kmes]]
id = "carol"
peer_address = "127.0.0.1:2"
psk_file = "carol.psk"
[[kmes]]
id = "dave"
peer_address = "127.0.0.1:3"
"""


def parse(directory: Path, text: str = CONFIG) -> NodeConfig:
    return parse_config(text, directory)


def keys(directory: Path, **content: str) -> None:
    for name, text in content.items():
        path = directory / f"{name}.psk"
        path.touch(0o600)
        path.write_text(text)


def test_keys_are_read_from_their_files(tmp_path: Path) -> None:
    keys(tmp_path, alice="0a" * 32, carol="0c" * 32)
    found = psks(parse(tmp_path))
    assert found.refresh_s == 60
    assert found.configured == {
        KmeId("alice"): KeyMaterial(b"\x0a" * 32),
        KmeId("carol"): KeyMaterial(b"\x0c" * 32),
    }


def test_a_key_is_for_one_peer(tmp_path: Path) -> None:
    keys(tmp_path, alice="0a" * 32, carol="0a" * 32)
    with pytest.raises(ConfigurationError, match="alice and carol have the same PSK"):
        psks(parse(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('psk_listen = "127.0.0.1:8446"', "", "alice dials this node and has a psk_file"),
        ('psk_file = "alice.psk"', "", "psk_listen is of no use"),
        ('psk_listen = "127.0.0.1:8446"', 'psk_listen = "127.0.0.1:8445"', "are both 127.0.0.1:8445"),
        ('psk_listen = "127.0.0.1:8446"', 'psk_listen = "nowhere"', "psk_listen"),
        ("psk_refresh_s = 60", "psk_refresh_s = 0", "psk_refresh_s = 0"),
        ("[peers]", '[store]\nkind = "memory"\n[peers]', 'does not go with [store] kind = "memory"'),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in CONFIG
    with pytest.raises(ConfigurationError) as caught:
        parse(tmp_path, CONFIG.replace(old, new))
    assert message in caught.value.message


def test_a_node_that_dials_all_its_peers_needs_no_listener_for_them(tmp_path: Path) -> None:
    first = CONFIG.replace('"bob"', '"aaron"').replace('psk_listen = "127.0.0.1:8446"', "")
    assert parse(tmp_path, first).peers.psk_listen is None
