"""What a node that there is not shows: for tests of the management API, of the commands that ask it, and of metrics."""

from keyhop.core.ids import KmeId
from keyhop.node.state import (
    AuditInfo,
    AvoidedEdge,
    Fairness,
    GatewayInfo,
    RelayInfo,
    StreamInfo,
    TopologyEdge,
    TopologyInfo,
    TopologyNode,
)

ALICE, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")

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


class ShownNode:
    """alice, who has a stream to bob and has lost carol."""

    def streams(self) -> list[StreamInfo]:
        return [StreamInfo(ALICE, BOB, "direct", "owner", 3, 100, 50, 10, 20, 5, 4, 8, 0, 3, 2, 6, 1, True)]

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
