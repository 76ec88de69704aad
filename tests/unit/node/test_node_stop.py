"""How a node stops, whatever peers say meanwhile and whatever goes wrong in it."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from keyhop.core.clock import SystemClock
from keyhop.core.entropy import SystemEntropy
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import KmeId, LinkId
from keyhop.core.store.base import Slot
from keyhop.link.rate import RateAdapter
from keyhop.node.config import NodeConfig, parse_config
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

BOB = """
[[kmes]]
id = "bob"
peer_address = "127.0.0.1:18447"
"""
LINK = """
[[links]]
id = "{}"
peer = "bob"
kind = "rate"
secret_file = "link.secret"
force = true
"""


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


class StuckAdapter(RateAdapter):
    """Its device does not let go."""

    async def stop(self) -> None:
        raise RuntimeError("the device does not let go")


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    create_authority(tmp_path / "pki").issue_node("alice", ["127.0.0.1"])
    secret = tmp_path / "link.secret"
    secret.touch(mode=0o600)
    secret.write_text(bytes(32).hex())
    return parse_config(CONFIG.format(*free_ports()) + BOB + LINK.format("one") + LINK.format("two"), tmp_path)


def wait_for_keys(node: Node, use: Callable[[object], None]) -> None:
    pair = node.kme.peers[KmeId("bob")].neighbour
    pair.leasing.wait(32, 1, "delivered", SystemClock().monotonic() + 60.0, use)


def test_what_comes_while_a_node_stops_is_no_failure_of_its_store(config: NodeConfig) -> None:
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


def test_a_link_that_cannot_be_stopped_is_told_and_left_behind(config: NodeConfig) -> None:
    async def scenario() -> None:
        node = Node(config, SystemClock(), SystemEntropy(), lambda: None)
        await node.start()
        given_up: list[object] = []
        wait_for_keys(node, given_up.append)
        one, two = node._links[LinkId("one")], node._links[LinkId("two")]
        await one.adapter.stop()
        one.adapter.__class__ = StuckAdapter
        with structlog.testing.capture_logs() as logs:
            await node.stop()
        assert two.adapter.status().state == "off"
        assert given_up == [None]
        (told,) = [event for event in logs if event["log_level"] == "error"]
        assert told["link"] == "one"
        assert (told["kind"], told["reason"]) == ("RuntimeError", "the device does not let go")
        assert logs[-1]["event"] == "node stopped"

    asyncio.run(scenario())


def test_effects_that_fail_in_the_last_commit_are_told_and_everything_is_closed(config: NodeConfig) -> None:
    def fail() -> None:
        raise ValueError("of an effect")

    async def scenario() -> None:
        node = Node(config, SystemClock(), SystemEntropy(), lambda: None)
        node.kme.journal.then(fail)
        with structlog.testing.capture_logs() as logs:
            await node.stop()
        (told,) = [event for event in logs if event["log_level"] == "error"]
        assert (told["kind"], told["reason"]) == ("ValueError", "of an effect")
        assert logs[-1]["event"] == "node stopped"
        with pytest.raises(StoreFailure):
            node.store.read(Slot("link", "fibre"))

    asyncio.run(scenario())


def test_a_failed_store_ends_the_node_whatever_those_do_who_are_told(config: NodeConfig) -> None:
    failures: list[str] = []

    def fail(taken: object) -> None:
        raise ValueError("of one who waited")

    async def scenario() -> None:
        node = Node(config, SystemClock(), SystemEntropy(), lambda: failures.append("failed"))
        wait_for_keys(node, fail)
        with pytest.raises(ValueError, match="of one who waited"):
            node.kme.journal.fail(StoreFailure("the disk is gone"))
        node.store.close()

    asyncio.run(scenario())
    assert failures == ["failed"]
