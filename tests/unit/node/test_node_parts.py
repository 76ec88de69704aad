"""A node that has lost a part of itself stops and says so, or supervisors would think that it serves."""

import asyncio
import socket
from pathlib import Path

import pytest
import structlog
import uvicorn

from keyhop.core.clock import SystemClock
from keyhop.core.entropy import SystemEntropy
from keyhop.lab.ports import free_ports
from keyhop.network.accepting import Door
from keyhop.network.connections import Connections
from keyhop.node import daemon
from keyhop.node import node as node_module
from keyhop.node.address import host_and_port
from keyhop.node.config import load_config
from keyhop.node.credentials import Credentials
from keyhop.node.node import Node
from keyhop.pki import create_authority
from keyhop.service.etsi014.offload import Offload
from keyhop.service.kme import Kme

CONFIG = """
[node]
id = "alice"
[tls]
ca = "pki/ca.pem"
certificate = "pki/nodes/alice.pem"
key = "pki/nodes/alice.key"
[store]
kind = "memory"
[etsi014]
listen = "127.0.0.1:{}"
proxy_socket = "saes.sock"
[peers]
listen = "127.0.0.1:{}"
[management]
listen = "127.0.0.1:{}"
[[kmes]]
id = "bob"
peer_address = "127.0.0.1:{}"
"""


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    create_authority(tmp_path / "pki").issue_node("alice", ["127.0.0.1"])
    path = tmp_path / "node.toml"
    path.write_text(CONFIG.format(*free_ports(4)))
    return path


def breaks(*_: object, **__: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("part", "owner", "method"),
    [
        pytest.param("etsi014", Door, "open", id="no handshakes any more"),
        pytest.param("etsi014", Offload, "check_deadlines", id="no deadlines any more"),
        pytest.param("peers", Connections, "_complain", id="no dialling any more"),
        pytest.param("clock", Kme, "tick", id="no clock any more"),
        pytest.param("certificates", Credentials, "refresh", id="no certificates any more"),
    ],
)
def test_a_node_that_has_lost_a_part_stops(
    config_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, owner: type, method: str
) -> None:
    monkeypatch.setattr(node_module, "CERTIFICATE_CHECK_S", 0.1)

    async def scenario() -> None:
        failed = asyncio.Event()
        config = load_config(config_path)
        node = Node(config, SystemClock(), SystemEntropy(), failed.set)
        await node.start()
        assert not failed.is_set()
        with monkeypatch.context() as broken:
            broken.setattr(owner, method, breaks)
            with socket.create_connection(host_and_port(config.etsi014.listen, ""), timeout=10):
                await asyncio.wait_for(failed.wait(), 10)
        await node.stop()

    with structlog.testing.capture_logs() as logs:
        asyncio.run(scenario())
    assert [(line["event"], line["part"]) for line in logs if line["log_level"] == "critical"] == [
        ("the node stops", part)
    ]


def test_a_node_without_its_management_stops(config_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "keep_collections_short", lambda: None)  # this process goes on
    monkeypatch.setattr(uvicorn.Server, "on_tick", breaks)
    with structlog.testing.capture_logs() as logs:
        status = asyncio.run(daemon._Daemon(config_path).run(load_config(config_path)))
    assert status == 1
    assert [line["part"] for line in logs if line["event"] == "the node stops"] == ["management"]
    assert logs[-1]["event"] == "node stopped"
