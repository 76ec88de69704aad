"""An HTTPS connection that is given up in its handshake is closed: httpcore leaves it to the garbage collector when the
task that makes it is cancelled, as by `asyncio.timeout`.

    httpx.AsyncClient(verify=context, event_hooks=CLOSE_UNFINISHED)
"""

from typing import Any

import httpx


class _Connecting:
    """What httpcore tells of one request's connection; see its documentation of the `trace` extension."""

    def __init__(self) -> None:
        self._stream: Any = None

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]
        elif event == "connection.start_tls.failed":
            await self._stream.aclose()


async def _watch(request: httpx.Request) -> None:
    request.extensions["trace"] = _Connecting()


CLOSE_UNFINISHED = {"request": [_watch]}
"""For every `httpx.AsyncClient`."""
