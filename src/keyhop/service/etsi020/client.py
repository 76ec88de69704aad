"""Calls to one other KMS over kept connections. Each is bounded in time and in size, whatever the other side does."""

import asyncio
import ssl

import httpx
import structlog

from keyhop.service.etsi020.calls import Call, Reply
from keyhop.service.etsi020.models import MAX_BODY_BYTES

MAX_CALLS = 64
"""Under way at once, each on a connection of its own; more wait."""
KEEP_S = 100.0
"""How long a connection without calls is kept: a new one takes two round trips more."""
CONNECT_S = 5.0

_log = structlog.get_logger(__name__)


class KmsClient:
    """Makes the calls of one interchange. `url` is where the other KMS is; callbacks bring theirs along, checked."""

    def __init__(self, url: str, context: ssl.SSLContext, timeout_s: float, server_name: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._extensions = {"sni_hostname": server_name} if server_name else {}
        self._http = httpx.AsyncClient(
            verify=context,
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
            trust_env=False,
            follow_redirects=False,
            headers={"Accept": "application/json, application/problem+json", "Accept-Encoding": "identity"},
            limits=httpx.Limits(max_connections=MAX_CALLS, keepalive_expiry=KEEP_S),
        )
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
        url = call.target if call.target.startswith("https://") else self._url + call.target
        headers = {"Content-Type": "application/json"} if call.body is not None else {}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._http.stream(
                    call.method, url, content=call.body, headers=headers, extensions=self._extensions
                ) as response,
            ):
                reply: Reply | None = Reply(response.status_code, await _bounded(response))
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as failure:
            _log.warning("another KMS did not answer", url=self._url, reason=type(failure).__name__)
            reply = None
        call.answered(reply)


async def _bounded(response: httpx.Response) -> bytes:
    """Raises ValueError for an answer that is too long."""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise ValueError("too long")
    return bytes(body)
