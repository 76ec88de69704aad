"""The ETSI 014 server of a node: accepts on a bound socket, inside the node's own event loop.

Accepting is done here rather than by `create_server`, because handshakes are where strangers are: they have
a deadline, and when too many are pending the oldest gives way, so that half-open clients lock nobody out.
"""

import asyncio
import errno
import logging
import math
import socket
import ssl
from collections.abc import Callable

from uvicorn import Config
from uvicorn.server import ServerState

from keyhop.service.etsi014.app import Etsi014App
from keyhop.service.etsi014.connection import Limits, Registry, SaeConnection
from keyhop.service.identity import SaeDirectory
from keyhop.service.requests import KeyService

MAX_PENDING_HANDSHAKES = 256
MAX_SWEEP_S = 1.0

_log = logging.getLogger(__name__)
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_ACCEPT_PAUSE_S = 0.1


class Etsi014Server:
    """Serves a `KeyService` to the SAEs of a directory over mutual TLS.

    `context` demands client certificates and is used for every new connection, so assigning another one
    renews certificates without a restart. `is_revoked` gets the DER of each new connection's certificate;
    `on_refused` is told of each handshake that failed.
    """

    def __init__(
        self,
        service: KeyService,
        directory: SaeDirectory,
        context: ssl.SSLContext,
        listener: socket.socket,
        *,
        limits: Limits | None = None,
        is_revoked: Callable[[bytes], bool] = lambda certificate: False,
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        self.context = context
        self._limits = limits or Limits()
        self._listener = listener
        self._registry = Registry(self._limits, directory.identify, is_revoked)
        self._state = ServerState()
        self._config = Config(
            Etsi014App(service),
            http=SaeConnection,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=math.ceil(self._limits.idle_timeout_s),
        )
        self._handshakes: dict[asyncio.Task[None], None] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._on_refused = on_refused

    @property
    def connections(self) -> int:
        """Open connections whose handshake is over."""
        return len(self._registry.open)

    async def start(self) -> None:
        """Begins to accept; returns at once."""
        self._listener.setblocking(False)
        self._listener.listen(1024)
        self._tasks = [asyncio.create_task(self._accept()), asyncio.create_task(self._sweep())]

    async def stop(self, grace_s: float) -> None:
        """Accepts nobody new, answers what is under way, and cuts off what is left after `grace_s`."""
        accepting, sweeping = self._tasks
        for task in (accepting, *self._handshakes):
            task.cancel()
        await asyncio.gather(accepting, *self._handshakes, return_exceptions=True)
        self._listener.close()
        empty = asyncio.Event()
        self._registry.on_release = lambda: None if self._registry.open else empty.set()
        for connection in list(self._registry.open):
            connection.shutdown()
        if self._registry.open:
            try:
                await asyncio.wait_for(empty.wait(), grace_s)
            except TimeoutError:
                for connection in list(self._registry.open):
                    connection.abort()
                await empty.wait()
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)

    def replace_directory(self, directory: SaeDirectory) -> None:
        """Who is who from now on; connections whose certificate now means another SAE are closed."""
        self._registry.identify = directory.identify
        for connection in list(self._registry.open):
            if directory.identify(connection.certificate) != connection.sae:
                connection.abort()

    def close_revoked(self, is_revoked: Callable[[bytes], bool]) -> int:
        """Cuts off the open connections whose certificate (DER) is revoked; how many they were."""
        revoked = [connection for connection in self._registry.open if is_revoked(connection.certificate)]
        for connection in revoked:
            connection.abort()
        return len(revoked)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    _log.warning("cannot accept: %s", error.strerror)
                    await asyncio.sleep(_ACCEPT_PAUSE_S)
                continue
            if len(self._registry.open) >= self._limits.max_connections:
                accepted.close()
                continue
            if len(self._handshakes) >= MAX_PENDING_HANDSHAKES:
                next(iter(self._handshakes)).cancel()
            task = loop.create_task(self._handshake(loop, accepted))
            self._handshakes[task] = None
            task.add_done_callback(self._handshakes.pop)

    async def _handshake(self, loop: asyncio.AbstractEventLoop, accepted: socket.socket) -> None:
        try:
            await loop.connect_accepted_socket(
                lambda: SaeConnection(self._registry, self._config, self._state),
                accepted,
                ssl=self.context,
                ssl_handshake_timeout=self._limits.handshake_timeout_s,
                ssl_shutdown_timeout=self._limits.write_timeout_s,
            )
        except OSError as error:
            self._on_refused()
            _log.debug("handshake refused: %s", error)

    async def _sweep(self) -> None:
        limits = self._limits
        shortest_s = min(limits.request_timeout_s, limits.idle_timeout_s, limits.write_timeout_s)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(MAX_SWEEP_S, shortest_s / 4))
            now = loop.time()
            for connection in list(self._registry.open):
                connection.check_deadlines(now)
