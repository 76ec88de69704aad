"""The server's edge: HTTP/1.1 over TLS 1.3 from KMSs that show a certificate which we know.

uvicorn reads HTTP with h11, which bounds heads; bodies are bounded here. There is one request at a time on a
connection, each has its time, and the certificate is looked up for each: one that is revoked meanwhile is refused.
Each KMS has so many connections, and with one more it loses its oldest: none takes away those of others.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from keyhop.core.ids import KmeId
from keyhop.network.strangers import TlsListener
from keyhop.service.etsi020.asgi import body_of, is_json, left, send_answer
from keyhop.service.etsi020.calls import Answer, Respond
from keyhop.service.etsi020.problems import Problem

MAX_CONNECTIONS = 128
"""Of each KMS, and of all together whose certificates belong to none."""
MAX_HEAD_BYTES = 16_384
ANSWER_S = 75.0
"""More than any answer takes: a synchronous request waits for the relay."""
IDLE_S = 120

type Handle = Callable[[KmeId, str, str, bytes, Respond], None]
"""Gets whose request it is, its method, path and body."""
type Identify = Callable[[tuple[bytes, ...]], KmeId | None]
"""From the verified chain of certificates (DER, the client's first) to the KMS that it belongs to."""

_log = structlog.get_logger(__name__)
_CHAIN = "keyhop.chain"


class KmsServer:
    """Serves the interchanges of a gateway. `context` demands client certificates of the other KMSs' authorities."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext, identify: Identify, handle: Handle) -> None:
        self._listener = listener
        self._context = context
        self._identify = identify
        self._handle = handle
        self._state = ServerState()
        self._of: dict[KmeId | None, dict[_Protocol, None]] = {}
        """The connections of each KMS, the oldest first."""
        self._door: TlsListener | None = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._state.connections)

    def start(self) -> None:
        """Begins to accept."""
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            proxy_headers=False,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_keep_alive=IDLE_S,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )
        config.load()
        self._door = TlsListener(self._listener, self._context, lambda: _Protocol(config, self._state, self._opened))
        self._door.start()

    async def stop(self, grace_s: float) -> None:
        """Accepts nobody new; answers what is under way, but for no longer than `grace_s`."""
        if self._door is None:
            return
        self._door.stop()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=grace_s)
        for task in self._state.tasks:
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        for connection in list(self._state.connections):
            connection.transport.abort()

    def _opened(self, connection: "_Protocol") -> Callable[[], None]:
        """There is one more; returns what is to be called at its end."""
        of_kms = self._of.setdefault(self._identify(connection.chain), {})
        if len(of_kms) >= MAX_CONNECTIONS:
            oldest = next(iter(of_kms))
            del of_kms[oldest]
            oldest.transport.abort()
        of_kms[connection] = None
        return lambda: of_kms.pop(connection, None)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive)
        except Problem as problem:
            answer = problem
        await send_answer(answer, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | Problem:
        kms = self._identify(scope.get(_CHAIN, ()))
        if kms is None:
            return Problem(401, reason="this certificate belongs to no KMS that is known here")
        body = await body_of(scope, receive)
        if scope["method"] == "POST" and not is_json(scope):
            return Problem(400, reason="the content type shall be application/json")
        if scope["query_string"]:
            return Problem(400, reason="there are no query parameters here")
        answered: asyncio.Future[Answer | Problem] = asyncio.get_running_loop().create_future()

        def respond(answer: Answer | Problem) -> None:
            if not answered.done():
                answered.set_result(answer)

        self._handle(kms, scope["method"], scope["path"], body, respond)
        gone = asyncio.ensure_future(left(receive))
        try:
            await asyncio.wait((answered, gone), timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        return answered.result() if answered.done() else Problem(408, reason="it took too long")


class _Protocol(H11Protocol):
    """Adds to each request the certificates that its connection was accepted with. `opened` is told of each connection,
    and gives what is to be called at its end."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, opened: Callable[["_Protocol"], Callable[[], object]]
    ) -> None:
        super().__init__(config, state, {})
        self.chain: tuple[bytes, ...] = ()
        self._opened = opened
        self._closed: Callable[[], object] = lambda: None
        app = self.app

        async def with_chain(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, _CHAIN: self.chain}, receive, send)

        self.app = with_chain

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Once per connection, when its handshake is over."""
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None:
            with suppress(ssl.SSLError, ValueError):
                self.chain = tuple(bytes(der) for der in tls.get_verified_chain())
        super().connection_made(transport)
        self._closed = self._opened(self)
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._closed()
