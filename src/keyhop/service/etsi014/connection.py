"""One TLS connection of an SAE: uvicorn's HTTP protocol with an identity, bounds and deadlines.

Rules, from the point of view of the client:

1. The certificate is looked at once, after the handshake; every request of the connection is that SAE's.
2. A request is RECEIVING from its first byte to its last and has one deadline for that. Between requests the
   connection is idle and has another. Bytes that the client does not take have a third.
3. What breaks a bound, a deadline or HTTP itself is answered here, in JSON, after the answers that are still
   due; then nothing more is read and the connection closes.
"""

import fcntl
import struct
import termios
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol, override

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import SaeId
from keyhop.service.etsi014.app import SCOPE_SAE
from keyhop.service.etsi014.body import MAX_BODY_BYTES, TOO_LARGE
from keyhop.service.etsi014.encode import encode_error

MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 64
MAX_CODED_BODY_BYTES = 8 * MAX_BODY_BYTES  # with the sizes of its chunks and the trailers, which nobody reads
# How long a refused client may go on sending before it is cut off: closing at once could lose our answer.
LINGER_S = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server gives to its clients; times in seconds."""

    max_connections: int = 1024
    max_connections_per_sae: int = 128
    handshake_timeout_s: float = 10.0
    request_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    write_timeout_s: float = 30.0


class Identify(Protocol):
    """Whose certificate (DER) this is."""

    def __call__(self, der: bytes) -> SaeId | None: ...


@dataclass
class Registry:
    """The live connections of one server, and what they need of it."""

    limits: Limits
    identify: Identify
    is_revoked: Callable[[bytes], bool]
    open: set["SaeConnection"] = field(default_factory=set)
    per_sae: Counter[SaeId | None] = field(default_factory=Counter)
    on_release: Callable[[], None] = lambda: None

    def admit(self, connection: "SaeConnection") -> str | None:
        """Counts a connection; the reason why it is one too many, or None."""
        self.open.add(connection)
        self.per_sae[connection.sae] += 1
        if len(self.open) > self.limits.max_connections:
            return "too many connections to this KME"
        if self.per_sae[connection.sae] > self.limits.max_connections_per_sae:
            return "too many connections of this SAE"
        return None

    def release(self, connection: "SaeConnection") -> None:
        """Forgets a connection that `admit` counted."""
        if connection not in self.open:
            return
        self.open.discard(connection)
        self.per_sae[connection.sae] -= 1
        if not self.per_sae[connection.sae]:
            del self.per_sae[connection.sae]
        self.on_release()


class _Refusal(Exception):
    """Raised inside the parser's callbacks; ends the connection with this message."""


class SaeConnection(HttpToolsProtocol):
    """See the rules at the top of the file. Times are the event loop's."""

    def __init__(self, registry: Registry, config: Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self._registry = registry
        self.sae: SaeId | None = None
        self.certificate = b""
        self._since = self.loop.time()
        self._receiving = False
        self._in_body = False
        self._part_bytes = 0
        self._body_bytes = 0
        self._answers_due = 0
        self._closing = False
        self._reason = "malformed HTTP request"
        self._farewell = b""

    @override
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._since = self.loop.time()
        self.certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
        if self._registry.is_revoked(self.certificate):
            transport.abort()
            return
        self.sae = self._registry.identify(self.certificate)
        refusal = self._registry.admit(self)
        if refusal is not None:
            self.refuse(503, refusal)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.release(self)
        super().connection_lost(exc)

    def abort(self) -> None:
        """Ends the connection now; answers that are due are lost."""
        self.transport.abort()

    @override
    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._part_bytes += len(data)
        super().data_received(data)
        if not self._receiving:
            return
        if self._in_body and self._part_bytes > MAX_CODED_BODY_BYTES:
            self.refuse(400, TOO_LARGE)
        elif not self._in_body and self._part_bytes > MAX_HEAD_BYTES:
            self.refuse(400, f"the request head shall have at most {MAX_HEAD_BYTES} bytes")

    @override
    def send_400_response(self, msg: str) -> None:
        self.refuse(400, self._reason)

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[SCOPE_SAE] = self.sae  # type: ignore[literal-required]
        self._receiving = True
        self._since = self.loop.time()

    @override
    def on_headers_complete(self) -> None:
        if self._part_bytes > MAX_HEAD_BYTES:
            head = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            self._require(head <= MAX_HEAD_BYTES, f"the request head shall have at most {MAX_HEAD_BYTES} bytes")
        self._require(len(self.headers) <= MAX_HEADERS, f"a request shall have at most {MAX_HEADERS} headers")
        self._require(not self.parser.should_upgrade(), "protocol upgrades are not supported")
        for name, value in self.headers:
            if name == b"content-length":
                self._require(len(value) < 10 and int(value) <= MAX_BODY_BYTES, TOO_LARGE)
        super().on_headers_complete()
        self._answers_due += 1
        self._in_body = True
        self._part_bytes = self._body_bytes = 0

    @override
    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._require(self._body_bytes <= MAX_BODY_BYTES, TOO_LARGE)
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._receiving = self._in_body = False
        self._part_bytes = 0
        self._since = self.loop.time()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._since = self.loop.time()
        self._answers_due -= 1
        if self._farewell and not self._answers_due:
            self._say_farewell()

    def _require(self, condition: bool, otherwise: str) -> None:
        if not condition:
            self._reason = otherwise
            raise _Refusal(otherwise)

    def refuse(self, status: int, message: str) -> None:
        """Answers in the application's place once it has no other answer to give, and closes."""
        if self._closing or self.transport.is_closing():
            return
        self._closing = True
        self._since = self.loop.time()
        self._farewell = _farewell(status, message)
        if self._in_body:
            self._abandon_request()
        if not self._answers_due:
            self._say_farewell()

    def _abandon_request(self) -> None:
        """The request that was arriving will never be whole: unless it is answered, the application must not."""
        if self.cycle.response_started:
            self._farewell = b""
        if self.cycle.response_complete:
            return
        self._answers_due -= 1
        if self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()
        self.cycle.disconnected = self.cycle.response_complete = True
        self.cycle.message_event.set()

    def _say_farewell(self) -> None:
        farewell, self._farewell = self._farewell, b""
        if farewell and not self.transport.is_closing():
            self.transport.write(farewell)
            self.flow.resume_reading()

    def check_deadlines(self, now: float) -> None:
        """Called every now and then by the server."""
        limits, age = self._registry.limits, now - self._since
        if self._answers_due and not self._in_body:
            if age > limits.write_timeout_s and self.flow.write_paused:
                self.abort()
        elif self._closing:
            if age > LINGER_S:
                self._close()
        elif self._receiving:
            if age > limits.request_timeout_s:
                self.refuse(400, f"the request was not complete within {limits.request_timeout_s:g} s")
        elif _untaken_bytes(self.transport):
            if age > limits.write_timeout_s:
                self.abort()
        elif age > (LINGER_S if self.transport.is_closing() else limits.idle_timeout_s):
            self._close()

    def _close(self) -> None:
        """First politely; a client that does not answer the TLS close is cut off at the next look."""
        if self.transport.is_closing():
            self.abort()
        else:
            self.transport.close()


def _untaken_bytes(transport: Any) -> int:
    """Bytes that the client has not acknowledged; of all buffers the kernel's is the first to be full."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:  # closed, and about to tell us
        return 0
    (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
    return int(count)


def _farewell(status: int, message: str) -> bytes:
    body = encode_error(KeyhopError(message))
    phrase = HTTPStatus(status).phrase.encode("ascii")
    retry = b"retry-after: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else b""
    return (
        b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (status, phrase, len(body))
        + retry
        + b"connection: close\r\n\r\n"
        + body
    )
