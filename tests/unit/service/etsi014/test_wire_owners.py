"""What owners of a wire can rely on: it may change hands, as whoever reads a proxy's header owns it first, then the
connection of the SAE; and what they wrote last is heard."""

import asyncio
import socket

import pytest

from keyhop.service.etsi014.wire import SocketWire

LONG_BYTES = 1 << 23
"""More than the buffers of a socket hold."""


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


class Last(Told):
    """An owner that has a long word to say, and no more."""

    def receive(self, data: bytes) -> None:
        super().receive(data)
        self.wire.write(bytes(LONG_BYTES))
        self.wire.close()


@pytest.mark.anyio
async def test_who_says_nothing_more_hears_the_last_word_to_its_end() -> None:
    """Who asked for a long answer, and that the connection be closed after it, was cut off in the midst of it."""
    near, far = socket.socketpair()
    for end in (near, far):
        end.setblocking(False)
    loop = asyncio.get_running_loop()
    wire = SocketWire(loop, near)
    with far:
        wire.start(Last(wire))
        await loop.sock_sendall(far, b"request")
        far.shutdown(socket.SHUT_WR)
        heard = 0
        async with asyncio.timeout(10):
            while chunk := await loop.sock_recv(far, 1 << 16):
                heard += len(chunk)
                await asyncio.sleep(0)
        assert heard == LONG_BYTES
    assert near.fileno() == -1
