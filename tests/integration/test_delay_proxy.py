"""Distance between two nodes, over real sockets: what comes through does so later, and otherwise as it was sent."""

import asyncio
import os
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from keyhop.lab import delay_proxy
from keyhop.lab.delay_proxy import Proxy
from keyhop.lab.ports import LOOPBACK, free_ports

DELAY_S = 0.05
SURELY_S = 20.0
pytestmark = pytest.mark.anyio

type Serving = Callable[[StreamReader, StreamWriter], Awaitable[None]]


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def connect(port: int) -> tuple[StreamReader, StreamWriter]:
    return await asyncio.open_connection(LOOPBACK, port)


@asynccontextmanager
async def proxied(serve: Serving, delay_s: float = DELAY_S) -> AsyncIterator[int]:
    """The port at which `serve` is reached, from afar."""
    near, far = free_ports(2)
    async with (
        asyncio.timeout(SURELY_S),
        await asyncio.start_server(serve, LOOPBACK, far),
        await Proxy(delay_s, f"{LOOPBACK}:{far}").serve(f"{LOOPBACK}:{near}"),
    ):
        yield near


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_round_trip_takes_two_delays_and_not_three() -> None:
    async with proxied(echo) as port:
        reader, writer = await connect(port)
        took = []
        for _ in range(5):
            begin = now()
            writer.write(b"ping")
            assert await reader.readexactly(4) == b"ping"
            took.append(now() - begin)
        writer.close()
    assert min(took) >= 2 * DELAY_S
    assert min(took[1:]) < 3 * DELAY_S


async def test_a_new_connection_costs_its_round_trip_too() -> None:
    async with proxied(echo) as port:
        begin = now()
        reader, writer = await connect(port)
        writer.write(b"ping")
        await reader.readexactly(4)
        took = now() - begin
        writer.close()
    assert took >= 4 * DELAY_S


async def test_everything_comes_in_its_order_both_ways_at_once() -> None:
    async with proxied(echo) as port:
        reader, writer = await connect(port)
        sent = os.urandom(20 << 20)

        async def send() -> None:
            for begin in range(0, len(sent), 100_000):
                writer.write(sent[begin : begin + 100_000])
                await writer.drain()
            writer.write_eof()

        _, got = await asyncio.gather(send(), reader.read())
        writer.close()
    assert got == sent


async def test_who_has_said_everything_may_still_hear_an_answer() -> None:
    async def answer_at_the_end(reader: StreamReader, writer: StreamWriter) -> None:
        request = await reader.read()
        writer.write(b"got " + request)
        writer.close()

    async with proxied(answer_at_the_end) as port:
        reader, writer = await connect(port)
        writer.write(b"all")
        writer.write_eof()
        assert await reader.read() == b"got all"
        writer.close()


async def test_no_more_is_on_its_way_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delay_proxy, "MOST_UNDER_WAY", 1 << 18)
    came = asyncio.Event()

    async def read_once(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(1)
        came.set()
        writer.transport.abort()

    async with proxied(read_once, delay_s=1.0) as port:
        _, writer = await connect(port)
        writer.write(bytes(100 << 20))
        await came.wait()
        left = writer.transport.get_write_buffer_size()
        writer.transport.abort()
    assert left > 50 << 20  # the rest is in the system's buffers


async def test_a_broken_connection_is_heard_of_at_the_far_end() -> None:
    async def break_off(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with proxied(break_off) as port:
        begin = now()
        reader, writer = await connect(port)
        writer.write(b"x" * 1000)
        assert await ends(reader)
        assert now() - begin >= 4 * DELAY_S
        writer.close()


async def test_where_nobody_listens_nobody_answers() -> None:
    near, nobody = free_ports(2)
    async with (
        asyncio.timeout(SURELY_S),
        await Proxy(DELAY_S, f"{LOOPBACK}:{nobody}").serve(f"{LOOPBACK}:{near}"),
    ):
        begin = now()
        reader, writer = await connect(near)
        assert await ends(reader)
        assert now() - begin >= 2 * DELAY_S
        writer.close()


async def ends(reader: StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True
