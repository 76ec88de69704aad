"""The ETSI 014 server of a node, inside the node's own event loop.

Connections come from the thread that makes their TLS handshakes (`handshakes`), and from a TLS off-loader on a unix
socket (`offload`), if there is one.
"""

import asyncio
import contextlib
import itertools
import socket
import ssl
from collections.abc import Callable

from keyhop.core.watched import watched
from keyhop.service.etsi014.connection import SaeConnection
from keyhop.service.etsi014.handshakes import HandshakeLimits, Handshakes
from keyhop.service.etsi014.offload import Offload
from keyhop.service.etsi014.registry import Registry
from keyhop.service.etsi014.surroundings import Limits, Peer
from keyhop.service.etsi014.tls import Tls
from keyhop.service.etsi014.turns import Turns
from keyhop.service.etsi014.wire import SocketWire
from keyhop.service.identity import SaeDirectory
from keyhop.service.requests import KeyService

MAX_PENDING_HANDSHAKES = 256
MAX_SWEEP_S = 1.0
SWEPT_AT_ONCE = 16  # that came together may all have to be told to go


class Etsi014Server:
    """Serves a `KeyService` to the SAEs of a directory over mutual TLS.

    `context` demands client certificates and is used for every new connection, so assigning another one renews
    certificates without a restart; a context in use shall not be changed, because another thread uses it.
    `proxied` is a bound unix socket for a TLS off-loader. `is_revoked` gets the DER of each new connection's
    certificate; `on_refused` is told, on any thread, of each connection that failed its handshake or came when there
    were too many; `on_failure` is told, on the loop, what has ended a part without which the server cannot go on.
    """

    def __init__(
        self,
        service: KeyService,
        directory: SaeDirectory,
        context: ssl.SSLContext,
        listener: socket.socket,
        *,
        proxied: socket.socket | None = None,
        limits: Limits | None = None,
        is_revoked: Callable[[bytes], bool] = lambda certificate: False,
        on_refused: Callable[[], None] = lambda: None,
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self.context = context
        self._service = service
        self._limits = limits or Limits()
        self._listener = listener
        self._is_revoked = is_revoked
        self._on_refused = on_refused
        self._on_failure = on_failure
        self._registry = Registry(self._limits, directory)
        self._loop: asyncio.AbstractEventLoop
        self._turns: Turns
        self._handshakes = Handshakes(
            listener,
            lambda: self.context,
            HandshakeLimits(MAX_PENDING_HANDSHAKES, self._limits.handshake_timeout_s, self._limits.handshake_share),
            lambda: self._registry.is_full,
            self._hand_over,
            on_refused,
            self._handshakes_ended,
        )
        self._offload: Offload | None = None
        if proxied is not None:
            timeout_s = self._limits.handshake_timeout_s
            self._offload = Offload(proxied, timeout_s, lambda: self._registry.is_full, self._connect, on_refused)
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """Open connections whose handshake is over."""
        return len(self._registry.open)

    def count(self, state: str) -> int:
        """Of connections that are "open", or still in their "handshake"."""
        return self.connections if state == "open" else self._handshakes.pending

    async def start(self) -> None:
        """Begins to accept; returns at once."""
        self._loop = asyncio.get_running_loop()
        self._turns = Turns(self._loop.call_soon)
        self._listener.setblocking(False)
        self._listener.listen(1024)
        self._handshakes.start()
        if self._offload is not None:
            self._offload.start()
        self._sweeping = watched(self._sweep(), self._on_failure)

    async def stop(self, grace_s: float) -> None:
        """Accepts nobody new, answers what is under way, and cuts off what is left after `grace_s`."""
        await asyncio.to_thread(self._handshakes.stop)
        if self._offload is not None:
            self._offload.stop()
        empty = asyncio.Event()
        self._registry.on_release = lambda: None if self._registry.open else empty.set()
        for connection in list(self._registry.open):
            connection.shutdown()
        if self._registry.open:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(empty.wait(), grace_s)
        for connection in list(self._registry.open):
            connection.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    def replace_directory(self, directory: SaeDirectory) -> None:
        """Who is who from now on; connections that now belong to another SAE are closed."""
        self._registry.directory = directory
        for connection in list(self._registry.open):
            if self._registry.identify(connection.peer) != connection.sae:
                connection.abort()

    def close_revoked(self, is_revoked: Callable[[bytes], bool]) -> int:
        """Cuts off the open connections whose certificate (DER) is revoked; how many they were."""
        revoked = [
            connection
            for connection in self._registry.open
            if connection.peer.certificate is not None and is_revoked(connection.peer.certificate)
        ]
        for connection in revoked:
            connection.abort()
        return len(revoked)

    def _hand_over(self, sock: socket.socket, tls: Tls, certificate: bytes) -> None:
        self._loop.call_soon_threadsafe(self._admit, sock, tls, certificate)

    def _handshakes_ended(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._on_failure, error)

    def _admit(self, sock: socket.socket, tls: Tls, certificate: bytes) -> None:
        if self._is_revoked(certificate):
            sock.close()
            self._on_refused()
            return
        self._connect(SocketWire(self._loop, sock, tls, self._handshakes.free), Peer(certificate=certificate))

    def _connect(self, wire: SocketWire, peer: Peer, early: bytes = b"") -> None:
        registry = self._registry
        sae = registry.identify(peer)
        connection = SaeConnection(
            wire, self._service, self._limits, peer, sae, self._loop.time, self._turns, registry.release
        )
        refusal = registry.admit(connection)
        wire.start(connection, early)
        if registry.is_flooded_by(sae):
            connection.abort()
        elif refusal is not None:
            connection.refuse(503, refusal)

    async def _sweep(self) -> None:
        limits = self._limits
        shortest_s = min(limits.request_timeout_s, limits.idle_timeout_s, limits.write_timeout_s)
        while True:
            await asyncio.sleep(min(MAX_SWEEP_S, shortest_s / 4))
            now = self._loop.time()
            for some in itertools.batched(list(self._registry.open), SWEPT_AT_ONCE, strict=False):
                for connection in some:
                    connection.check_deadlines(now)
                await asyncio.sleep(0)
            if self._offload is not None:
                self._offload.check_deadlines(now)
