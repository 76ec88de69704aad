"""A graceful stop, whatever peers say meanwhile."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

from keyhop.core.clock import SystemClock
from keyhop.core.entropy import SystemEntropy
from keyhop.core.errors import StoreFailure
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


def test_what_comes_while_a_node_stops_is_no_failure_of_its_store(tmp_path: Path) -> None:
    create_authority(tmp_path / "pki").issue_node("alice", ["127.0.0.1"])
    config = parse_config(CONFIG.format(*free_ports()), tmp_path)
    failures: list[str] = []

    async def scenario() -> None:
        node = Node(config, SystemClock(), SystemEntropy(), lambda: failures.append("failed"))
        await node.start()
        stop = asyncio.create_task(node.stop())
        while not stop.done():
            with suppress(StoreFailure):  # in any turn of the loop a message of a peer makes the node note something
                node.kme.journal.save(Slot("link", "fibre"), lambda: bytes(8))
            await asyncio.sleep(0)
        await stop

    asyncio.run(scenario())
    assert failures == []
