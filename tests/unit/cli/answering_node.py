"""A management API that really listens, of a node that there is not, and the command that asks it."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp

from keyhop.cli import main
from keyhop.core.errors import LinkError
from keyhop.core.ids import KmeId, LinkId
from keyhop.node.management import management_app
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion
from keyhop.node.state import (
    AuditInfo,
    AvoidedEdge,
    Disturbance,
    Fairness,
    GatewayInfo,
    LinkActivity,
    LinkInfo,
    LinkSample,
    NodeInfo,
    PeerInfo,
    PskInfo,
    Readiness,
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


class View:
    def __init__(self, missing: list[str], restored: str | None = None) -> None:
        self._missing = missing
        self._restored = restored
        self._activity: list[LinkActivity] = []

    def node(self) -> NodeInfo:
        return NodeInfo(ALICE, "0.1", 1_700_000_000.0, 42, witness=True, restored=self._restored)

    def links(self) -> list[LinkInfo]:
        return [LinkInfo(LinkId("a-b"), BOB, "rate", False, "stopped", "QBER", 726_000.0, 0.0322, 7)]

    def streams(self) -> list[StreamInfo]:
        return [StreamInfo(ALICE, BOB, "direct", "owner", 3, 100, 50, 10, 20, 5, 4, 8, 0, 3, 2, 6, 1, True)]

    def policy(self, question: PolicyQuestion) -> PolicyCheck:
        return PolicyCheck(ALICE, question.master, question.slave, True, False, [], [])

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

    def peers(self) -> list[PeerInfo]:
        return [
            PeerInfo(BOB, True, False, None),
            PeerInfo(CAROL, True, True, 1.0, psk=PskInfo(12, 11, 1_700_000_000.5, "there is no path")),
        ]

    def readiness(self) -> Readiness:
        return Readiness(not self._missing, self._missing)

    def metrics(self) -> bytes:
        return b""

    def link(self, link: LinkId) -> LinkInfo:
        return {each.id: each for each in self.links()}[link]

    def link_series(self, link: LinkId) -> list[LinkSample]:
        self.link(link)
        return []

    def link_activity(self, link: LinkId) -> list[LinkActivity]:
        self.link(link)
        return [*self._activity]

    def link_disturbance(self, link: LinkId) -> Disturbance:
        raise LinkError("the line of link a-b is not simulated")

    async def start_link(self, link: LinkId) -> None:
        self.link(link)
        self._activity.append(LinkActivity(time.time() + 1, False, "started"))

    async def stop_link(self, link: LinkId) -> None:
        self.link(link)
        self._activity.append(LinkActivity(time.time() + 2, True, "stopped by a \x1b[31mtest"))

    def disturb_link(self, link: LinkId, disturbance: Disturbance) -> None:
        raise LinkError("only in a lab")


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def node(missing: list[str], restored: str | None = None) -> AbstractContextManager[str]:
    return serving(management_app(View(missing, restored)))


def keyhop(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)
