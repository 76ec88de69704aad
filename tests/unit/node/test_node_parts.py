"""A node that has lost a part of itself stops, or supervisors would think that it serves."""

import asyncio
import socket
from pathlib import Path

import pytest

from keyhop.core.clock import SystemClock
from keyhop.core.entropy import SystemEntropy
from keyhop.lab.ports import free_ports
from keyhop.node.config import parse_config
from keyhop.node.node import Node
from keyhop.pki import create_authority
from keyhop.service.etsi014.accepting import Door

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
[peers]
listen = "127.0.0.1:{}"
"""


def test_a_node_that_makes_no_handshakes_any_more_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_authority(tmp_path / "pki").issue_node("alice", ["127.0.0.1"])
    ports = free_ports(2)

    def breaks(_door: Door) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        failed = asyncio.Event()
        node = Node(parse_config(CONFIG.format(*ports), tmp_path), SystemClock(), SystemEntropy(), failed.set)
        await node.start()
        assert not failed.is_set()
        monkeypatch.setattr(Door, "open", breaks)
        with socket.create_connection(("127.0.0.1", ports[0]), timeout=10):
            await asyncio.wait_for(failed.wait(), 10)
        await node.stop()

    asyncio.run(scenario())
