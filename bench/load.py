"""The load generator as a process of its own: `load.c`, compiled here, or `load_python.py` where that is impossible."""

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

SOURCE = Path(__file__).with_name("load.c")
FALLBACK = Path(__file__).with_name("load_python.py")
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


class Load(msgspec.Struct, frozen=True):
    """What came back; `refused` are answers other than 200, `body_bytes` is the size of the last good one."""

    requests: int
    refused: int
    seconds: float
    body_bytes: int
    p50_ms: float
    p99_ms: float


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    """A file of requests as the generators read it."""
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
    """`kind` says which one: `C` or `Python`."""

    def __init__(self, directory: Path) -> None:
        """Compiles into `directory`."""
        binary = directory / "load"
        if _compile(binary):
            self.kind, self._command = "C", [str(binary)]
        else:
            self.kind, self._command = "Python", [sys.executable, str(FALLBACK)]

    @contextmanager
    def started(self, order: Order, connections: int, seconds: float) -> Iterator[RunningLoad]:
        """A generator that waits for `go`; it does not outlive the block."""
        target = order.target
        words = [HOST, target.port, target.ca, target.certificate, target.key, connections, seconds, order.limit]
        words += [order.requests, order.answers or "-"]
        command = [*self._command, *map(str, words)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                yield RunningLoad(process)
                process.wait(GRACE_S)
            finally:
                process.kill()

    def fetch(self, order: Order, connections: int = 4, seconds: float = GRACE_S) -> Load:
        """Asks without being measured."""
        with self.started(order, connections, seconds) as load:
            load.go()
            return load.result()


def _compile(binary: Path) -> bool:
    compiler = shutil.which("cc")
    if compiler is None:
        return False
    command = [compiler, "-O2", "-o", str(binary), str(SOURCE), "-lssl", "-lcrypto"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
