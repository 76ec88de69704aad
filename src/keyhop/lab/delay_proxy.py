"""Distance between two nodes: what they say to each other goes through a process that passes it on later.

    python -m keyhop.lab.delay_proxy FILE

FILE is JSON: {"one_way_ms": 45, "forwards": [["127.0.0.1:10001", "127.0.0.1:10002"]]}. Whoever connects to the first
address is connected to the second one. Every byte is passed on one delay after it came, in its order; so are the end of
what one side sends, and a broken connection. A new connection reaches the far end after one delay; what the near end
sends leaves after two, when it would have had an answer. While MOST_UNDER_WAY bytes are under way, no more are taken.
"""

import asyncio
import signal
import sys
from asyncio import StreamReader, StreamWriter
from pathlib import Path

import msgspec

from keyhop.lab.layout import Layout
from keyhop.lab.managed import Managed
from keyhop.lab.topology import Delay

MOST_UNDER_WAY = 8 << 20
_READ_BYTES = 1 << 16


class Forwards(msgspec.Struct, frozen=True):
    """Pairs of addresses: where to listen, and where to connect to."""

    one_way_ms: float
    forwards: tuple[tuple[str, str], ...]


def delay_proxy(layout: Layout, delay: Delay) -> Managed:
    """The process between two nodes."""
    arguments = ["-m", __name__, str(layout.forwards(delay.id))]
    return Managed(f"delay of {delay.id}", arguments, layout.delay_log(delay.id), layout.delay_pid(delay.id))


class Way:
    """One direction of a connection."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, delay_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self._delay_s = delay_s
        self._now = asyncio.get_running_loop().time
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._bytes = 0
        self._room = asyncio.Event()

    async def take(self) -> None:
        """Until the near end sends no more. Raises OSError."""
        data = b"-"
        while data:
            data = await self._reader.read(_READ_BYTES)
            self._bytes += len(data)
            self._under_way.put_nowait((self._now() + self._delay_s, data))
            while self._bytes >= MOST_UNDER_WAY:
                self._room.clear()
                await self._room.wait()

    async def give(self) -> None:
        """Until the far end has everything, and that it was the last. Raises OSError."""
        data = b"-"
        while data:
            due, data = await self._under_way.get()
            await asyncio.sleep(due - self._now())
            if data:
                self._writer.write(data)
                await self._writer.drain()
            else:
                self._writer.write_eof()
            self._bytes -= len(data)
            self._room.set()


class Proxy:
    """Passes on what comes to one address."""

    def __init__(self, delay_s: float, target: str) -> None:
        self._delay_s = delay_s
        self._target = target

    async def serve(self, listen: str) -> asyncio.Server:
        """Connections are taken from now on. Raises OSError."""
        host, port = _host_and_port(listen)
        return await asyncio.start_server(self._connected, host, port, limit=_READ_BYTES)

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        await asyncio.sleep(self._delay_s)
        try:
            far_reader, far_writer = await asyncio.open_connection(*_host_and_port(self._target), limit=_READ_BYTES)
        except OSError:
            await asyncio.sleep(self._delay_s)
            writer.transport.abort()
            return
        there, back = Way(reader, far_writer, self._delay_s), Way(far_reader, writer, self._delay_s)
        try:
            async with asyncio.TaskGroup() as group:
                for part in (self._take_after_set_up(there), there.give(), back.take(), back.give()):
                    group.create_task(part)
        except* OSError:
            await asyncio.sleep(self._delay_s)
            far_writer.transport.abort()
            writer.transport.abort()
        finally:
            far_writer.close()
            writer.close()

    async def _take_after_set_up(self, way: Way) -> None:
        await asyncio.sleep(self._delay_s)
        await way.take()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


async def run(forwards: Forwards) -> None:
    """Until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    for listen, target in forwards.forwards:
        await Proxy(forwards.one_way_ms / 1000, target).serve(listen)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Forwards)))
