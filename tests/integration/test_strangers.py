"""Many who connect over TLS and say nothing, and one among them who has something to say."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest
import uvloop

from keyhop.network import strangers
from keyhop.network.strangers import MOST_HANDSHAKES, TlsListener
from keyhop.pki import TlsFiles, client_context, create_authority, server_context

LOOPS = pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
SILENT = 4 * MOST_HANDSHAKES
type Reader = asyncio.StreamReader
type Writer = asyncio.StreamWriter


class Hears(asyncio.Protocol):
    """Answers what it hears."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class Scene:
    """A listener, and a client that it would let in."""

    def __init__(self, directory: Path) -> None:
        authority = create_authority(directory / "pki")
        authority.issue_node("alice", ["127.0.0.1"])
        files = TlsFiles(authority.directory / "ca.pem", *authority.files("node", "alice"))
        self.client = client_context(files, "1.3")
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.address = self.sock.getsockname()
        self.listener = TlsListener(self.sock, server_context(files, "1.3"), Hears)

    async def connect(self, tls: ssl.SSLContext | None = None) -> tuple[Reader, Writer]:
        return await asyncio.open_connection(*self.address, ssl=tls)


def play(new_loop: Callable[[], asyncio.AbstractEventLoop], scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await scene()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(bounded())


@LOOPS
def test_the_oldest_gives_way_so_that_the_silent_lock_nobody_out(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def scene() -> None:
        site = Scene(tmp_path)
        site.listener.start()
        silent = [await site.connect() for _ in range(SILENT)]
        for reader, _ in silent[: SILENT - MOST_HANDSHAKES]:  # those that came later are there still
            assert await reader.read() == b""
        assert site.listener.handshakes == MOST_HANDSHAKES
        reader, writer = await site.connect(site.client)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        site.listener.stop()
        for reader_of_silent, writer_of_silent in silent:
            assert await reader_of_silent.read() == b""
            writer_of_silent.close()
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"  # whoever was let in stays
        writer.close()

    play(new_loop, scene)


@LOOPS
def test_a_silent_one_is_let_go_in_time(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "HANDSHAKE_S", 0.1)

    async def scene() -> None:
        site = Scene(tmp_path)
        site.listener.start()
        reader, writer = await site.connect()
        assert await reader.read() == b""
        writer.close()
        site.listener.stop()

    play(new_loop, scene)


@LOOPS
def test_one_who_speaks_no_tls_harms_nobody(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        site = Scene(tmp_path)
        site.listener.start()
        reader, writer = await site.connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()
        honest, honest_writer = await site.connect(site.client)
        honest_writer.write(b"hello")
        assert await honest.readexactly(5) == b"hello"
        honest_writer.close()
        site.listener.stop()

    play(new_loop, scene)
    assert not caplog.records
