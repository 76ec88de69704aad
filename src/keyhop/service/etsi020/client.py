"""Calls to one other KMS over kept connections. Each is bounded in time and in size, whatever the other side does."""

import asyncio
import ssl
from contextlib import suppress

import httpx
import structlog

from keyhop.handshakes import CLOSE_UNFINISHED
from keyhop.service.etsi020.calls import REACHED, Call, Reply
from keyhop.service.etsi020.models import MAX_BODY_BYTES

MAX_CALLS = 64
"""Under way at once, each on a connection of its own; more wait here, where that costs nothing: the pool of httpx looks
through all that wait in it, again and again."""
KEEP_S = 100.0
"""How long a connection without calls is kept: a new one takes two round trips more."""
CONNECT_S = 5.0
CLOSE_S = 1.0

_log = structlog.get_logger(__name__)


class KmsClient:
    """Makes the calls of one interchange. `url` is where the other KMS is; callbacks bring theirs along, checked."""

    def __init__(self, url: str, context: ssl.SSLContext, timeout_s: float, server_name: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._context = context
        self._extensions = {"sni_hostname": server_name} if server_name else {}
        self._http = httpx.AsyncClient(
            verify=context,
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
            trust_env=False,
            follow_redirects=False,
            event_hooks=CLOSE_UNFINISHED,
            headers={"Accept": "application/json, application/problem+json", "Accept-Encoding": "identity"},
            limits=httpx.Limits(max_connections=MAX_CALLS, keepalive_expiry=KEEP_S),
        )
        self._room = asyncio.Semaphore(MAX_CALLS)
        self._tasks: set[asyncio.Task[None]] = set()

    def make(self, call: Call) -> None:
        """Makes a call; its `answered` is called on this event loop."""
        task = asyncio.get_running_loop().create_task(self._make(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Gives up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def _make(self, call: Call) -> None:
        reply: Reply | None = None
        try:
            async with asyncio.timeout(self._timeout_s), self._room:
                reply = await (self._knock() if call.method is None else self._request(call.method, call))
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as failure:
            _log.warning("another KMS did not answer", url=self._url, reason=type(failure).__name__)
        call.answered(reply)

    async def _request(self, method: str, call: Call) -> Reply:
        url = call.target if call.target.startswith("https://") else self._url + call.target
        headers = {"Content-Type": "application/json"} if call.body is not None else {}
        async with self._http.stream(
            method, url, content=call.body, headers=headers, extensions=self._extensions
        ) as response:
            return Reply(response.status_code, await _bounded(response))

    async def _knock(self) -> Reply:
        """Its certificate is checked as for a request. Whether it takes ours, only an answer would tell."""
        url = httpx.URL(self._url)
        name = self._extensions.get("sni_hostname", url.host)
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(
                url.host, url.port or 443, ssl=self._context, server_hostname=name, ssl_shutdown_timeout=CLOSE_S
            )
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return REACHED


async def _bounded(response: httpx.Response) -> bytes:
    """Raises ValueError for an answer that is too long."""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise ValueError("too long")
    return bytes(body)
