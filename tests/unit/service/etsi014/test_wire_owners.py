"""A wire may change hands: whoever reads a proxy's header owns it first, then the connection of the SAE."""

import asyncio
import socket

import pytest

from keyhop.service.etsi014.wire import SocketWire


class Told:
    """An owner that notes what came, and how often there was something to read."""

    def __init__(self, wire: SocketWire) -> None:
        self.wire = wire
        self.times, self.received = 0, b""
        self.something = asyncio.Event()

    def readable(self) -> None:
        self.times += 1
        self.wire.read()

    def receive(self, data: bytes) -> None:
        self.received += data
        self.something.set()

    def drained(self) -> None: ...

    def heard_all(self) -> None: ...

    def lost(self) -> None: ...


@pytest.mark.anyio
async def test_the_owner_of_now_decides_when_it_is_read() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    wire = SocketWire(asyncio.get_running_loop(), near)
    first, second = Told(wire), Told(wire)
    with far:
        wire.start(first)
        far.sendall(b"header")
        await first.something.wait()
        wire.start(second)
        far.sendall(b"request")
        await second.something.wait()
        wire.abort()
    assert (first.times, first.received) == (1, b"header")
    assert (second.times, second.received) == (1, b"request")
