"""One party's requests to a server: its certificate, no redirects, nothing from the environment.

A server may be broken, or mean no good: each request has so much time in all, however its answer drips, and so many
bytes, which are not inflated.
"""

import asyncio
import json
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from keyhop.core.errors import ConfigurationError
from keyhop.handshakes import CLOSE_UNFINISHED
from keyhop.testing.conformance.checks import NotConforming, expect

MAX_ANSWER_BYTES = 4 << 20
HANDSHAKE_S = 10.0
MAX_SHOWN = 100
_HEADERS = {"Accept": "application/json, application/problem+json", "Accept-Encoding": "identity"}


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
    """What a server answered, and to what: `GET /kmapi/versions`."""

    request: str
    status: int
    content_type: str
    body: bytes = field(repr=False)

    @property
    def outcome(self) -> str:
        """`HTTP 400 to POST /kmapi/v1/ext_keys`."""
        return f"HTTP {self.status} to {self.request}"

    def document(self) -> Any:
        """The JSON in it. Raises NotConforming."""
        kind = self.content_type or "none"
        expect(self.content_type == "application/json", f"the content type {kind[:MAX_SHOWN]}, {self.outcome}")
        return self.any_document()

    def any_document(self) -> Any:
        """The JSON in it, whatever its content type."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise NotConforming(f"{self.outcome} with a body that is not JSON") from None


class Party:
    """Someone who asks the server at `url`; each request takes `timeout_s` at most."""

    def __init__(self, url: str, identity: Identity, timeout_s: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self.identity = identity
        self._timeout_s = timeout_s
        self._http = _client(identity.context())
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """Ends its connections."""
        with self._runner as runner:
            runner.run(self._http.aclose())

    def get(self, path: str) -> Reply:
        """GET of a path, with its query if it has one."""
        return self.ask("GET", path)

    def post(self, path: str, value: Any) -> Reply:
        """POST of a JSON value."""
        return self.ask("POST", path, json.dumps(value).encode())

    def ask(self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json") -> Reply:
        """Any request. Raises httpx.HTTPError and OSError when there is no answer, or not all of it in time."""
        headers = {"Content-Type": content_type} if body is not None else {}
        return self._runner.run(_asked(self._http, self._timeout_s, method, self.url, path, body, headers))

    def ask_once(self, path: str, context: ssl.SSLContext) -> Reply:
        """One GET over a connection of its own. Raises the same."""

        async def ask() -> Reply:
            async with _client(context) as http:
                return await _asked(http, min(self._timeout_s, HANDSHAKE_S), "GET", self.url, path, None, {})

        return self._runner.run(ask())

    def handshake(self, context: ssl.SSLContext) -> str:
        """Nothing but a TLS handshake; its version. Raises OSError."""
        parts = urlsplit(self.url)

        async def shake() -> str:
            async with asyncio.timeout(min(self._timeout_s, HANDSHAKE_S)):
                _, writer = await asyncio.open_connection(parts.hostname or "", parts.port or 443, ssl=context)
            secured: ssl.SSLObject = writer.get_extra_info("ssl_object")
            version = secured.version()
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
            return version or ""

        return self._runner.run(shake())


def member(document: Any, name: str, kind: type, where: str = "the answer") -> Any:
    """A member of an object, of that type. Raises NotConforming."""
    expect(isinstance(document, dict), f"{where} is not an object")
    expect(name in document, f"{where} has no {name}")
    value = document[name]
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    expect(fits, f"{name} in {where} is {type(value).__name__}, not {kind.__name__}")
    return value


def _client(context: ssl.SSLContext) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=context,
        timeout=httpx.Timeout(None),  # `_asked` has one for all of a request
        trust_env=False,
        follow_redirects=False,
        headers=_HEADERS,
        event_hooks=CLOSE_UNFINISHED,
    )


async def _asked(
    http: httpx.AsyncClient,
    timeout_s: float,
    method: str,
    url: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
) -> Reply:
    request, received = f"{method} {path[:MAX_SHOWN]}", bytearray()
    try:
        async with (
            asyncio.timeout(timeout_s),
            http.stream(method, url + path, content=body, headers=headers) as response,
        ):
            async for part in response.aiter_raw():
                received += part
                expect(len(received) <= MAX_ANSWER_BYTES, f"more than {MAX_ANSWER_BYTES} bytes to {request}")
    except TimeoutError:
        raise TimeoutError(f"{request} was not answered within {timeout_s:g} s") from None
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Reply(request, response.status_code, kind, bytes(received))


def _no_password() -> str:
    raise ValueError("the key is encrypted")
