"""Listeners that have clients while the process has no file descriptors left to accept them with."""

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvloop

from keyhop.network.accepting import PAUSE_S
from keyhop.service.etsi014.offload import Offload
from keyhop.service.etsi014.surroundings import Peer
from keyhop.service.etsi014.wire import SocketWire


class Watched(socket.socket):
    """A listener that counts how often it was asked to accept."""

    attempts = 0
    third: asyncio.Event

    def accept(self) -> tuple[socket.socket, object]:
        self.attempts += 1
        if self.attempts == 3:
            self.third.set()
        return super().accept()


@contextmanager
def no_files_left() -> Iterator[None]:
    unused = os.dup(0)
    os.close(unused)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (unused, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def nobody_comes(wire: SocketWire, peer: Peer, early: bytes) -> None:
    raise NotImplementedError


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_the_proxy_socket_pauses_and_then_accepts(
    tmp_path: Path, new_loop: type[asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        listener = Watched(socket.AF_UNIX)
        listener.third = asyncio.Event()
        listener.bind(str(tmp_path / "saes.sock"))
        gone = asyncio.Event()
        offload = Offload(listener, 10.0, lambda: False, nobody_comes, gone.set)
        offload.start()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "saes.sock"))
            with no_files_left():
                begin = loop.time()
                await asyncio.wait_for(listener.third.wait(), 10)
                took_s = loop.time() - begin
                attempts = listener.attempts
        await asyncio.wait_for(gone.wait(), 10)  # so it was accepted
        offload.stop()
        return attempts, took_s

    with caplog.at_level(logging.WARNING), asyncio.Runner(loop_factory=new_loop) as runner:
        attempts, took_s = runner.run(scenario())
    assert attempts == 3
    assert took_s > 2 * PAUSE_S * 0.9
    assert [record.message for record in caplog.records] == ["cannot accept: Too many open files"] * 3
