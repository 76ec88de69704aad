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
from keyhop.core.ids import LinkId
from keyhop.node.management import management_app
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion
from keyhop.node.state import (
    Disturbance,
    LinkActivity,
    LinkInfo,
    LinkSample,
    NodeInfo,
    PeerInfo,
    PskInfo,
    Readiness,
)
from keyhop.testing.shown_node import ALICE, BOB, CAROL, ShownNode


class View(ShownNode):
    def __init__(self, missing: list[str], restored: str | None = None) -> None:
        self._missing = missing
        self._restored = restored
        self._activity: list[LinkActivity] = []

    def node(self) -> NodeInfo:
        return NodeInfo(ALICE, "0.1", 1_700_000_000.0, 42, witness=True, restored=self._restored)

    def links(self) -> list[LinkInfo]:
        return [LinkInfo(LinkId("a-b"), BOB, "rate", False, "stopped", "QBER", 726_000.0, 0.0322, 7)]

    def policy(self, question: PolicyQuestion) -> PolicyCheck:
        return PolicyCheck(ALICE, question.master, question.slave, True, False, [], [])

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
