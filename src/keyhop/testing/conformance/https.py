"""One party's requests to a server: its certificate, no redirects, bounded answers, nothing from the environment."""

import json
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from keyhop.core.errors import ConfigurationError
from keyhop.testing.conformance.checks import NotConforming, expect

MAX_ANSWER_BYTES = 4 << 20
HANDSHAKE_S = 10.0


@dataclass(frozen=True, slots=True)
class Identity:
    """A party as the other side knows it; PEM files of the authority it trusts, its certificate and its key."""

    id: str
    ca: Path
    certificate: Path
    key: Path

    def context(self, *, with_certificate: bool = True) -> ssl.SSLContext:
        """A client's TLS context. Raises ConfigurationError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(self.ca)
            if with_certificate:
                context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as failure:
            raise ConfigurationError(
                f"cannot use {self.certificate} with {self.key} and {self.ca}: {failure}",
                hint="each is a PEM file, and the key is not encrypted",
            ) from None
        return context


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    content_type: str
    body: bytes = field(repr=False)

    def document(self) -> Any:
        """The JSON in it. Raises NotConforming."""
        expect(self.content_type == "application/json", f"the content type {self.content_type or 'none'}")
        return self.any_document()

    def any_document(self) -> Any:
        """The JSON in it, whatever its content type."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise NotConforming(f"HTTP {self.status} with a body that is not JSON") from None


class Party:
    """Someone who asks the server at `url`."""

    def __init__(self, url: str, identity: Identity, timeout_s: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self.identity = identity
        self._http = httpx.Client(verify=identity.context(), timeout=timeout_s, trust_env=False, follow_redirects=False)

    def close(self) -> None:
        """Ends its connections."""
        self._http.close()

    def get(self, path: str) -> Reply:
        """GET of a path, with its query if it has one."""
        return self.ask("GET", path)

    def post(self, path: str, value: Any) -> Reply:
        """POST of a JSON value."""
        return self.ask("POST", path, json.dumps(value).encode())

    def ask(self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json") -> Reply:
        """Any request."""
        headers = {"Content-Type": content_type} if body is not None else {}
        with self._http.stream(method, self.url + path, content=body, headers=headers) as response:
            received = bytearray()
            for part in response.iter_bytes():
                received += part
                expect(len(received) <= MAX_ANSWER_BYTES, f"an answer of more than {MAX_ANSWER_BYTES} bytes")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Reply(response.status_code, kind, bytes(received))


def ask_once(url: str, context: ssl.SSLContext) -> Reply:
    """One GET over a connection of its own."""
    with httpx.Client(verify=context, timeout=HANDSHAKE_S, trust_env=False) as http:
        response = http.get(url)
        return Reply(response.status_code, response.headers.get("content-type", ""), response.content)


def handshake(url: str, context: ssl.SSLContext) -> str:
    """Nothing but a TLS handshake; its version. Raises OSError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    with (
        socket.create_connection((host, parts.port or 443), HANDSHAKE_S) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        return secured.version() or ""


def member(document: Any, name: str, kind: type, where: str = "the answer") -> Any:
    """A member of an object, of that type. Raises NotConforming."""
    expect(isinstance(document, dict), f"{where} is not an object")
    expect(name in document, f"{where} has no {name}")
    value = document[name]
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    expect(fits, f"{name} in {where} is {type(value).__name__}, not {kind.__name__}")
    return value


def _no_password() -> str:
    raise ValueError("the key is encrypted")
