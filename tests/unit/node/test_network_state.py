"""What a node says of the network: from its KME and its links."""

from pathlib import Path

import pytest

from keyhop.core.clock import SystemClock
from keyhop.core.entropy import SystemEntropy
from keyhop.core.ids import KmeId, LinkId
from keyhop.network.topology.reports import LinkReport, NodeReport, Report
from keyhop.node.config import NodeConfig, parse_config
from keyhop.node.node import Node
from keyhop.node.state import AvoidedEdge
from keyhop.pki import create_authority

BOB, CAROL = KmeId("bob"), KmeId("carol")
CONFIG = """
[node]
id = "alice"
lab = true
[tls]
ca = "pki/ca.pem"
certificate = "pki/nodes/alice.pem"
key = "pki/nodes/alice.key"
[store]
kind = "memory"
[[kmes]]
id = "bob"
peer_address = "127.0.0.1:1"
[[kmes]]
id = "carol"
peer_address = "127.0.0.1:1"
[[links]]
id = "alice-bob"
peer = "bob"
kind = "rate"
secret_file = "link.secret"
"""


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    create_authority(tmp_path / "pki").issue_node("alice", ["127.0.0.1"])
    (tmp_path / "link.secret").write_text("ab" * 32)
    (tmp_path / "link.secret").chmod(0o600)
    return parse_config(CONFIG, tmp_path)


def made(config: NodeConfig) -> Node:
    return Node(config, SystemClock(), SystemEntropy(), lambda: None)


@pytest.mark.anyio
async def test_a_kme_that_was_never_heard_of_is_unreachable_and_listed(config: NodeConfig) -> None:
    topology = made(config).desk.topology()
    assert [(node.id, node.reachable, node.heard_s) for node in topology.nodes] == [
        (BOB, False, None),
        (CAROL, False, None),
    ]
    assert topology.parts == [["alice"], ["bob"], ["carol"]]
    assert topology.unreachable == [BOB, CAROL]
    assert topology.edges == []


@pytest.mark.anyio
async def test_what_peers_say_is_shown(config: NodeConfig) -> None:
    """bob says that a link joins him with carol, of whom nothing is heard."""
    node = made(config)
    node.kme.gossip.connected(BOB)
    links = (LinkReport(KmeId("alice"), True, 512, 0), LinkReport(CAROL, True, 512, 0))
    node.kme.gossip.received(BOB, Report(NodeReport(BOB, 1, 1, links)))
    node.kme.view.say(KmeId("alice"), (LinkReport(BOB, True, 4096, 1000, 6),))
    node.kme.view.failed((KmeId("alice"), BOB), "no answer")
    topology = node.desk.topology()
    assert [(each.id, each.reachable, each.heard_s is None) for each in topology.nodes] == [
        (BOB, True, False),
        (CAROL, False, True),
    ]
    assert [(edge.source, edge.target, edge.stock_bytes, edge.priority) for edge in topology.edges] == [
        ("alice", "bob", 4096, 4),
        ("bob", "alice", 512, 4),
    ]
    assert topology.parts == [["alice", "bob"], ["carol"]]
    assert topology.avoided == [AvoidedEdge("alice→bob", "no answer")]


@pytest.mark.anyio
async def test_a_link_that_does_not_generate_brings_nothing(config: NodeConfig) -> None:
    """Looked at once a second; the rate itself fades over ten."""
    node = made(config)
    pair = node.kme.peers[BOB].neighbour
    link = node._links[LinkId("alice-bob")]
    await link.start()
    node._links.sample()
    assert pair.generating
    await link.stop()
    node._links.sample()
    assert not pair.generating
