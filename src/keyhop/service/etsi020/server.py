"""The server's edge: HTTP/1.1 over TLS 1.3 from KMSs that show a certificate which we know.

uvicorn reads HTTP with h11, which bounds heads; bodies are bounded here. There is one request at a time on a
connection, each has its time, and the certificate is looked up for each: one that is revoked meanwhile is refused.
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

from keyhop.network.strangers import TlsListener
from keyhop.service.etsi020.calls import Answer, Respond
from keyhop.service.etsi020.models import MAX_BODY_BYTES
from keyhop.service.etsi020.problems import CONTENT_TYPE, Problem

MAX_CONNECTIONS = 256
MAX_HEAD_BYTES = 16_384
BODY_S = 10.0
ANSWER_S = 75.0
"""More than any answer takes: a synchronous request waits for the relay."""
IDLE_S = 120

type Handle = Callable[[str, str, bytes, Respond], None]
type Identify = Callable[[tuple[bytes, ...]], Handle | None]
"""From the verified chain of certificates (DER, the client's first) to whoever handles that KMS's requests."""

_log = structlog.get_logger(__name__)
_CHAIN = "keyhop.chain"


class KmsServer:
    """Serves the interchanges of a gateway. `context` demands client certificates of the other KMSs' authorities."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext, identify: Identify) -> None:
        self._listener = listener
        self._context = context
        self._identify = identify
        self._state = ServerState()
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
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=IDLE_S,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )
        config.load()
        self._door = TlsListener(self._listener, self._context, lambda: _Protocol(config, self._state, {}))
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

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive)
        except Problem as problem:
            answer = problem
        await _send(answer, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | Problem:
        handle = self._identify(scope.get(_CHAIN, ()))
        if handle is None:
            return Problem(401, reason="this certificate belongs to no KMS that is known here")
        body = await _body(scope, receive)
        if scope["method"] == "POST" and not _is_json(scope):
            return Problem(400, reason="the content type shall be application/json")
        if scope["query_string"]:
            return Problem(400, reason="there are no query parameters here")
        answered: asyncio.Future[Answer | Problem] = asyncio.get_running_loop().create_future()

        def respond(answer: Answer | Problem) -> None:
            if not answered.done():
                answered.set_result(answer)

        handle(scope["method"], scope["path"], body, respond)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answered
        except TimeoutError:
            return Problem(408, reason="it took too long")


class _Protocol(H11Protocol):
    """Adds to each request the certificates that its connection was accepted with."""

    _chain: tuple[bytes, ...] = ()

    def __init__(self, config: uvicorn.Config, state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, state, app_state)
        app = self.app

        async def with_chain(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, _CHAIN: self._chain}, receive, send)

        self.app = with_chain

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Once per connection, when its handshake is over."""
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None:
            with suppress(ssl.SSLError, ValueError):
                self._chain = tuple(bytes(der) for der in tls.get_verified_chain())
        super().connection_made(transport)
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)


async def _body(scope: Scope, receive: Receive) -> bytes:
    """Raises Problem for one that is too long or too slow."""
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value[:12]) > MAX_BODY_BYTES):
            raise Problem(413, reason=f"the body shall have at most {MAX_BODY_BYTES} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Problem(400, reason="the request was not complete")
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    raise Problem(413, reason=f"the body shall have at most {MAX_BODY_BYTES} bytes")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Problem(408, reason="the request was not complete in time") from None


def _is_json(scope: Scope) -> bool:
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return len(kinds) == 1 and kinds[0].partition(b";")[0].strip().lower() == b"application/json"


async def _send(answer: Answer | Problem, send: Send) -> None:
    if isinstance(answer, Problem):
        body, kind = answer.document(), CONTENT_TYPE
    else:
        body, kind = answer.body, "application/json"
    headers = [(b"cache-control", b"no-store"), (b"content-length", str(len(body)).encode())]
    if body:
        headers.append((b"content-type", kind.encode()))
    if answer.status in (408, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
