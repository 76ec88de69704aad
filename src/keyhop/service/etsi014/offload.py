"""Connections from a TLS off-loader on this machine: plain HTTP on a private unix socket, behind a PROXY header.

Whoever can connect to that socket can be any SAE that is known by its subject CN, so only the file system's
permissions stand before it, and it is never a TCP port.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from keyhop.network.accepting import Door, OpenDoor
from keyhop.service.etsi014.proxy_header import HeaderRefused, ProxyHeader
from keyhop.service.etsi014.surroundings import Peer
from keyhop.service.etsi014.wire import SocketWire

MAX_PENDING_HEADERS = 256
_ACCEPTS_AT_ONCE = 64

_log = logging.getLogger(__name__)


class Connect(Protocol):
    """Makes a connection of a wire whose far end is known; `early` came behind the header."""

    def __call__(self, wire: SocketWire, peer: Peer, early: bytes) -> None: ...


class Offload:
    """Serves `listener` between `start` and `stop`; `on_refused` is told of each that did not get through."""

    def __init__(
        self,
        listener: socket.socket,
        timeout_s: float,
        is_full: Callable[[], bool],
        connect: Connect,
        on_refused: Callable[[], None],
    ) -> None:
        self._timeout_s = timeout_s
        self._door = OpenDoor(Door(listener, _ACCEPTS_AT_ONCE, is_full, on_refused, self._greet))
        self._connect = connect
        self._on_refused = on_refused
        self._pending: dict[_Greeting, float] = {}  # their deadlines; the oldest is the first
        self._loop: asyncio.AbstractEventLoop

    def start(self) -> None:
        """Begins to accept, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._door.start()

    def stop(self) -> None:
        """Accepts nobody any more, and drops who has not sent a header yet."""
        self._door.stop()
        for greeting in list(self._pending):
            greeting.wire.abort()

    def check_deadlines(self, now: float) -> None:
        """Called every now and then by the server."""
        late = [greeting for greeting, deadline in self._pending.items() if deadline <= now]
        for greeting in late:
            greeting.wire.abort()

    def _greet(self, accepted: socket.socket) -> None:
        if len(self._pending) >= MAX_PENDING_HEADERS:
            next(iter(self._pending)).wire.abort()
        greeting = _Greeting(self, SocketWire(self._loop, accepted))
        self._pending[greeting] = self._loop.time() + self._timeout_s
        greeting.wire.start(greeting)

    def greeted(self, greeting: "_Greeting", header: ProxyHeader) -> None:
        """The header is whole."""
        del self._pending[greeting]
        self._connect(greeting.wire, Peer(common_name=header.common_name), header.rest)

    def ended(self, greeting: "_Greeting") -> None:
        """The wire has ended before that."""
        del self._pending[greeting]
        self._on_refused()


class _Greeting:
    """Owns a wire until its header is whole."""

    def __init__(self, offload: Offload, wire: SocketWire) -> None:
        self.wire = wire
        self._offload = offload
        self._header = ProxyHeader()

    def readable(self) -> None:
        self.wire.read()

    def receive(self, data: bytes) -> None:
        try:
            whole = self._header.feed(data)
        except HeaderRefused as error:
            _log.warning("connection to the proxy socket refused: %s", error)
            self.wire.abort()
            return
        if whole:
            self._offload.greeted(self, self._header)

    def drained(self) -> None:
        """Nothing has been written yet."""

    def heard_all(self) -> None:
        self.wire.abort()

    def lost(self) -> None:
        self._offload.ended(self)
