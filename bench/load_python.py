"""What `load.c` does, on asyncio and httptools: for machines without a compiler or OpenSSL's headers. See there."""

import asyncio
import ssl
import struct
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, BinaryIO, override

import httptools
import msgspec
import uvloop

from load import Load

DRAIN_S = 15.0


class Work:
    """The requests that all connections share, and what came of them."""

    def __init__(self, requests: Iterator[bytes], limit: int, answers: BinaryIO | None) -> None:
        self._requests = requests
        self._limit = limit
        self._answers = answers
        self._begun = self.refused = self.body_bytes = 0
        self.stop_at = 0.0
        self.latencies_ms: list[float] = []
        self.idle = asyncio.Event()

    def next(self) -> bytes | None:
        """The next request, or None when the time or the requests are used up."""
        if self._begun >= self._limit or time.perf_counter() >= self.stop_at:
            return None
        self._begun += 1
        return next(self._requests)

    def answered(self, status: int, body: bytes, latency_s: float) -> None:
        """Counts an answer."""
        self.latencies_ms.append(latency_s * 1e3)
        if status != 200:
            self.refused += 1
            if self.refused == 1:
                print(f"load: {status} {body[:400]!r}", file=sys.stderr)
        else:
            self.body_bytes = len(body)
            if self._answers:
                self._answers.write(body + b"\n")

    def rest(self) -> None:
        """A connection has nothing more to ask."""
        if len(self.latencies_ms) == self._begun:
            self.idle.set()


class Connection(asyncio.Protocol):
    """Has one request under way."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._body: list[bytes] = []
        self._sent_at = 0.0
        self._transport: Any = None
        self._parser: Any = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._work.idle.set()

    def on_body(self, body: bytes) -> None:
        """Of httptools."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Of httptools."""
        latency_s = time.perf_counter() - self._sent_at
        self._work.answered(self._parser.get_status_code(), b"".join(self._body), latency_s)
        self.begin()

    def begin(self) -> None:
        """Asks the next."""
        request = self._work.next()
        if request is None:
            self._work.rest()
            return
        self._body = []
        self._parser = httptools.HttpResponseParser(self)
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def read_requests(path: Path) -> list[bytes]:
    """The requests of a file."""
    content, at, requests = path.read_bytes(), 0, []
    while at < len(content):
        (length,) = struct.unpack_from("<I", content, at)
        requests.append(content[at + 4 : at + 4 + length])
        at += 4 + length
    return requests


async def run(words: list[str]) -> None:
    """The words are those of `load.c`."""
    host, port, ca, certificate, key, connections, seconds, limit, requests, answers = words
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    sink = None if answers == "-" else Path(answers).open("wb")  # noqa: ASYNC230, SIM115 (before anything is measured)
    work = Work(cycle(read_requests(Path(requests))), int(limit), sink)
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(work), host, int(port), ssl=context)
        for _ in range(int(connections))
    ]
    print("ready", flush=True)
    sys.stdin.read(1)
    begin = time.perf_counter()
    work.stop_at = begin + float(seconds)
    for _, connection in opened:
        connection.begin()
    await asyncio.wait_for(work.idle.wait(), float(seconds) + DRAIN_S)
    elapsed = time.perf_counter() - begin
    print("done", flush=True)
    if sink:
        sink.close()
    latencies = sorted(work.latencies_ms)
    count = len(latencies)
    figures = (work.body_bytes, latencies[count // 2], latencies[count * 99 // 100])
    print(msgspec.json.encode(Load(count, work.refused, elapsed, *figures)).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1:]))
