"""Where the server under test acknowledges: HTTPS with mutual certificates, TLS 1.3, for the time of a run."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from keyhop.testing.conformance.https import Identity

MAX_BODY_BYTES = 4 << 20
MAX_ARRIVED = 16_384
"""More are answered, and not kept."""
REQUEST_S = 30.0
MAX_DIGITS = 10


@dataclass(frozen=True)
class Acknowledged:
    """One POST as it arrived: its JSON, or None for what was none."""

    path: str
    content_type: str
    body: Any


@dataclass
class Callbacks:
    """What has arrived so far."""

    url: str
    arrived: list[Acknowledged] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, acknowledged: Acknowledged) -> None:
        """One more."""
        with self.changed:
            if len(self.arrived) < MAX_ARRIVED:
                self.arrived.append(acknowledged)
            self.changed.notify_all()


@contextmanager
def callback_server(identity: Identity, address: tuple[str, int], url: str | None = None) -> Iterator[Callbacks]:
    """Listens until the block ends. `url` is how the server under test gets here, if not by that address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(identity.certificate, identity.key)
    context.load_verify_locations(identity.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    server = _Server(address, context)
    host, port = server.server_address[:2]
    server.callbacks = Callbacks(url or f"https://{host!s}:{port}/kmapi/v1/ext_keys/ack")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.callbacks
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    callbacks: Callbacks

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext) -> None:
        super().__init__(address, _Handler)
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        """On a thread of its own: a handshake must not hold up the one that accepts."""
        request.settimeout(REQUEST_S)
        with self._context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def shutdown_request(self, request: Any) -> None:
        with suppress(OSError):
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever fails a handshake here has not acknowledged anything."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        """An acknowledgement, whatever it is: checks judge it."""
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal() and len(length) <= MAX_DIGITS):
            self._answer(400)
            return
        if int(length) > MAX_BODY_BYTES:
            self._answer(413)
            return
        body = self.rfile.read(int(length))
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self.server.callbacks.note(Acknowledged(self.path, kind, document))
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.close_connection = self.close_connection or status != HTTPStatus.OK
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""
