"""A connection that has ended leaves nothing to the garbage collector, whose pauses would hold up everybody."""

import asyncio
import gc
import socket
from collections.abc import Iterator
from typing import cast

import pytest

from keyhop.service.etsi014.connection import SaeConnection
from keyhop.service.etsi014.surroundings import Limits, Peer
from keyhop.service.etsi014.turns import Turns
from keyhop.service.etsi014.wire import SocketWire
from keyhop.service.requests import KeyService


@pytest.fixture
def garbage() -> Iterator[list[object]]:
    """What only the collector finds."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.parametrize("said", [b"", b"GET /x HTTP/1.1\r\nHost: kme\r\n\r\n", b"GET /x HTTP/1.1\r\nHo"])
def test_a_connection_leaves_nothing_behind(garbage: list[object], said: bytes) -> None:
    async def come_and_go() -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        near.setblocking(False)
        gone = asyncio.Event()
        turns = Turns(loop.call_soon)
        wire = SocketWire(loop, near)
        wire.start(
            SaeConnection(
                wire,
                cast(KeyService, None),  # nothing is asked of it
                Limits(),
                Peer(),
                None,
                loop.time,
                turns,
                lambda _connection: gone.set(),
            )
        )
        far.send(said)
        if said.endswith(b"\r\n\r\n"):
            far.setblocking(False)
            assert (await loop.sock_recv(far, 1000)).startswith(b"HTTP/1.1 401 ")
        far.close()
        await gone.wait()

    with asyncio.Runner() as runner:
        runner.run(come_and_go())
        gc.collect()
    assert not [thing for thing in garbage if type(thing).__module__.startswith(("keyhop.", "httptools."))]
