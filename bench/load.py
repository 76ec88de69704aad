"""The load generator of `loadgen/`, compiled here and run as a process of its own."""

import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import msgspec

SOURCES = Path(__file__).with_name("loadgen")
HOST = "127.0.0.1"
GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class Target:
    """A server on loopback, and what a client shows and trusts (PEM files)."""

    port: int
    ca: str
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Order:
    """What to ask: the requests of a file in turn, `limit` of them at most; bodies of answers go to `answers`."""

    target: Target
    requests: Path
    limit: int
    answers: Path | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """How to ask, as `loadgen/load.c` tells: closed loop, open loop of `rate` a second, or new connections."""

    connections: int
    seconds: float
    kind: Literal["closed", "open", "new"] = "closed"
    rate: float = 0.0


class Load(msgspec.Struct, frozen=True):
    """What came back; `refused` are answers other than 200, `lost` are requests that got none.

    `body_bytes` is the size of the last good answer; `tickets` counts session tickets.
    """

    requests: int
    refused: int
    lost: int
    tickets: int
    seconds: float
    body_bytes: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    """A file of requests as the generator reads it."""
    with path.open("wb") as file:
        for request in requests:
            file.write(struct.pack("<I", len(request)) + request)


class RunningLoad:
    """A generator whose connections are up."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.pid = process.pid
        self._stdin: IO[bytes] = process.stdin
        self._stdout: IO[bytes] = process.stdout
        self._expect(b"ready\n")

    def go(self) -> None:
        """Begins, and returns after the last answer."""
        self._stdin.write(b"\n")
        self._stdin.flush()
        self._expect(b"done\n")

    def result(self) -> Load:
        """The figures, after `go`."""
        return msgspec.json.decode(self._stdout.readline(), type=Load)

    def _expect(self, line: bytes) -> None:
        if self._stdout.readline() != line:
            raise RuntimeError("the load generator failed; it said why above")


class LoadGenerator:
    """The compiled program."""

    def __init__(self, directory: Path) -> None:
        """Compiles into `directory`."""
        self._binary = directory / "load"
        _compile(self._binary)

    @contextmanager
    def started(self, order: Order, way: Way) -> Iterator[RunningLoad]:
        """A generator that waits for `go`; it does not outlive the block."""
        target = order.target
        words = [way.kind, HOST, target.port, target.ca, target.certificate, target.key, way.connections, way.seconds]
        words += [order.limit, way.rate, order.requests, order.answers or "-"]
        command = [str(self._binary), *map(str, words)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                yield RunningLoad(process)
                process.wait(GRACE_S)
            finally:
                process.kill()

    def fetch(self, order: Order, way: Way = Way(4, GRACE_S)) -> Load:
        """Asks without being measured."""
        with self.started(order, way) as load:
            load.go()
            return load.result()


def _compile(binary: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError("there is no C compiler for the load generator (Debian: build-essential)")
    sources = map(str, sorted(SOURCES.glob("*.c")))
    done = subprocess.run(
        [compiler, "-O2", "-o", str(binary), *sources, "-lssl", "-lcrypto"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the load generator cannot be compiled (Debian: libssl-dev): {done.stderr[:400]}")
