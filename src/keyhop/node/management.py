"""The management API: what a node tells its operators, as JSON over plain HTTP. It changes nothing and shows no key.

Whoever reaches the address may read: it belongs on loopback or on a network for management. A web page that the
operator's browser has open must not get here through a DNS name that was rebound to this address, so the `Host`
has to be an IP address, `localhost` or a name that the node was given.
"""

import ipaddress
from collections.abc import Callable, Collection
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyhop.node.state import NodeView, Readiness
from keyhop.node.telemetry.metrics import CONTENT_TYPE

_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_MAX_TARGET_BYTES = 1024


def management_app(view: NodeView, *, names: Collection[str] = ()) -> ASGIApp:
    """The ASGI application; `names` are the host names, besides IP addresses, that it answers to."""
    routes = [
        _route("/healthz", lambda: _json({"status": "ok"})),
        _route("/readyz", lambda: _readiness(view)),
        _route("/metrics", lambda: Response(view.metrics(), media_type=CONTENT_TYPE)),
        _route("/v1/node", lambda: _json(view.node())),
        _route("/v1/links", lambda: _json(view.links())),
        _route("/v1/streams", lambda: _json(view.streams())),
        _route("/v1/peers", lambda: _json(view.peers())),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={HTTPException: _refused}), names)


class Guard:
    """Lets through only what a reader of this API sends: GET or HEAD, without a body, to a name that is ours."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return

        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_hardened)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._is_ours(headers.getlist("host")):
            return _json({"message": "this address does not answer to that Host"}, 421)
        if scope["method"] not in ("GET", "HEAD"):
            return _json({"message": "only GET here"}, 405, {"allow": "GET, HEAD"})
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            return _json({"message": "no body here"}, 413, {"connection": "close"})
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > _MAX_TARGET_BYTES:
            return _json({"message": "the address is too long"}, 414)
        return None

    def _is_ours(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        host = _without_port(hosts[0].lower())
        if host in self._names:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _route(path: str, answer: Callable[[], Response]) -> Route:
    async def endpoint(request: Request) -> Response:  # async: the view is read on the node's own event loop
        return answer()

    return Route(path, endpoint, methods=["GET"])


def _readiness(view: NodeView) -> Response:
    not_ready = view.readiness()
    return _json(Readiness(not not_ready, not_ready), 503 if not_ready else 200)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


async def _refused(request: Request, failure: Exception) -> Response:
    status = failure.status_code if isinstance(failure, HTTPException) else 500
    return _json({"message": "no such page" if status == 404 else "refused"}, status)
