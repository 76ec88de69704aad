"""Clients that mean ill, as a process of its own: attackers.py KIND COUNT PER_S TRIES PORT CA CERT KEY

COUNT connections at a time are kept going, at most PER_S new ones a second (0: as many as can be). Prints "ready" when
TRIES have been tried, and goes on until its stdin ends; then prints how many there were.
"""

import asyncio
import os
import resource
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import uvloop

HOST = "127.0.0.1"
ENC_KEYS = b"/api/v1/keys/bobsae/enc_keys"
PIECE = bytes(65_536)
COSTLY_BODY = b'{"extension_optional":[%b]}' % b",".join([b'{"a":1,"b":2}'] * 510)  # nothing takes longer to read


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to attack, with our certificate (PEM files)."""

    port: int
    ca: str
    certificate: str
    key: str

    def context(self, *, named: bool = True) -> ssl.SSLContext:
        """A client's context; unless `named`, it shows no certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        if named:
            context.load_cert_chain(self.certificate, self.key)
        return context


type Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
type Open = Callable[[], Awaitable[Streams]]
type Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _wait(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Says nothing more until the server closes."""
    while await reader.read(4096):
        pass


async def _half_a_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_client_hello())
    await _wait(reader, writer)


async def _aborted_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_client_hello())
    await reader.read(4096)
    writer.transport.abort()


async def _nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The handshake was all."""


async def _half_a_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"POST %b HTTP/1.1\r\nHost: kme\r\nContent-Length: 60000\r\n\r\n%b" % (ENC_KEYS, bytes(50_000)))
    await _wait(reader, writer)


def _endless(beginning: bytes, piece: bytes) -> Attack:
    async def attack(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        while not reader.at_eof() and not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(
                0
            )  # drain comes back at once as long as there is room, and when nobody is there any more

    return attack


def _again_and_again(request: bytes) -> Attack:
    async def attack(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))

    return attack


_POST = b"POST %b HTTP/1.1\r\nHost: kme\r\nContent-Type: application/json\r\n" % ENC_KEYS
_GET_MANY = b"GET %b?number=1024 HTTP/1.1\r\nHost: kme\r\n\r\n" % ENC_KEYS

PLAIN: dict[str, Attack] = {
    "silent": _wait,
    "half-handshake": _half_a_handshake,
    "aborted-handshake": _aborted_handshake,
}
NAMELESS: dict[str, Attack] = {"nameless": _wait}
NAMED: dict[str, Attack] = {
    "half-request": _half_a_request,
    "handshake": _nothing,
    "endless-body": _endless(_POST + b"Content-Length: 1000000000\r\n\r\n", PIECE),
    "endless-chunks": _endless(_POST + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n%b\r\n" % PIECE),
    "endless-head": _endless(b"GET %b HTTP/1.1\r\n" % ENC_KEYS, b"X-Endless: %b\r\n" % (b"a" * 4096)),
    "costly-bodies": _again_and_again(_POST + b"Content-Length: %d\r\n\r\n%b" % (len(COSTLY_BODY), COSTLY_BODY)),
    "greedy": _again_and_again(_GET_MANY),
}
SPIN = "spin"  # attacks nobody: only takes the CPU time that is left


def _client_hello() -> bytes:
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=HOST).do_handshake()
    return out.read()


class Crowd:
    """COUNT attackers at a time."""

    def __init__(self, opening: Open, attack: Attack, count: int, per_s: float, tries: int) -> None:
        self._open, self._attack = opening, attack
        self._count, self._per_s, self._tries = count, per_s, tries
        self._next_at = 0.0
        self.attempts = 0
        self.all_tried = asyncio.Event()

    async def go_on(self) -> None:
        """Never ends."""
        await asyncio.gather(*(self._attacker() for _ in range(self._count)))

    async def _attacker(self) -> None:
        while True:
            await self._turn()
            streams = await self._opened()
            self.attempts += 1
            if self.attempts >= self._tries:
                self.all_tried.set()
            if streams is not None:
                with suppress(OSError, EOFError):
                    await self._attack(*streams)
                streams[1].transport.abort()

    async def _opened(self) -> Streams | None:
        try:
            return await self._open()
        except OSError:
            return None

    async def _turn(self) -> None:
        if self._per_s:
            now = asyncio.get_running_loop().time()
            self._next_at = max(self._next_at, now) + 1 / self._per_s
            await asyncio.sleep(self._next_at - now)


async def attack(kind: str, count: int, per_s: float, tries: int, server: Server) -> None:
    """Until our stdin ends."""
    context = None if kind in PLAIN else server.context(named=kind in NAMED)
    crowd = Crowd(
        lambda: asyncio.open_connection(HOST, server.port, ssl=context),
        (PLAIN | NAMELESS | NAMED)[kind],
        count,
        per_s,
        tries,
    )
    attacking = asyncio.create_task(crowd.go_on())
    await crowd.all_tried.wait()
    _say("ready")
    await asyncio.to_thread(sys.stdin.buffer.read)
    attacking.cancel()
    _say(str(crowd.attempts))
    os._exit(0)  # thousands of connections end with us


def spin() -> None:
    """Until our stdin ends."""
    threading.Thread(target=_spin_for_ever, daemon=True).start()
    _say("ready")
    sys.stdin.buffer.read()
    _say("0")


def _spin_for_ever() -> None:
    while True:
        pass


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """The command."""
    kind, count, per_s, tries, port, *files = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if kind == SPIN:
        spin()
    else:
        uvloop.run(attack(kind, int(count), float(per_s), int(tries), Server(int(port), *files)))


if __name__ == "__main__":
    main()
