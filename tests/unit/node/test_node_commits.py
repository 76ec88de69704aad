"""When a node commits what its event loop decided."""

import asyncio
import socket
from pathlib import Path

from keyhop.core.clock import SystemClock
from keyhop.core.entropy import SystemEntropy
from keyhop.core.store.base import Slot
from keyhop.node.config import parse_config
from keyhop.node.node import Node
from keyhop.pki import create_authority

CONFIG = """
[node]
id = "alice"
data_dir = "alice"
[tls]
ca = "pki/ca.pem"
certificate = "pki/nodes/alice.pem"
key = "pki/nodes/alice.key"
[etsi014]
listen = "127.0.0.1:{}"
[peers]
listen = "127.0.0.1:{}"
"""


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def test_what_comes_in_the_next_turn_of_the_loop_shares_the_commit(tmp_path: Path) -> None:
    create_authority(tmp_path / "pki").issue_node("alice", ["127.0.0.1"])
    config = parse_config(CONFIG.format(*free_ports()), tmp_path)

    async def scenario() -> int:
        node = Node(config, SystemClock(), SystemEntropy(), lambda: None)
        journal = node.kme.journal
        node.kme.flush()
        before, durable = journal.commits, asyncio.Event()

        def come() -> None:
            journal.save(Slot("link", "second"), lambda: bytes(8))
            journal.then(durable.set)

        journal.save(Slot("link", "first"), lambda: bytes(8))
        asyncio.get_running_loop().call_soon(come)
        await durable.wait()
        commits = journal.commits - before
        await node.stop()
        return commits

    assert asyncio.run(scenario()) == 1
