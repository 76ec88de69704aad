"""Who is let in to the management API.

A web page that the operator's browser has open must not get here, neither through a DNS name that was rebound to this
address (the `Host` has to be an IP address, `localhost` or a name that the node was given) nor by posting a form (a
POST has to be JSON, which browsers ask permission for, and we give none).
"""

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyhop.node.management.pages import json_response

_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_MAX_TARGET_BYTES = 8192
_MAX_BODY_BYTES = 4096


class Guard:
    """Lets through only what a user of this API sends, to a name that is ours: small requests, and no web page's."""

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
            return json_response({"message": "this address does not answer to that Host"}, 421)
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return json_response({"message": "only GET and POST here"}, 405, {"allow": "GET, HEAD, POST"})
        if scope["method"] == "POST":
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return json_response(
                    {"message": "the content type shall be application/json"}, 415, {"connection": "close"}
                )
            if "origin" in headers:
                return json_response({"message": "not for web pages"}, 403, {"connection": "close"})
        limit = _MAX_BODY_BYTES if scope["method"] == "POST" else 0
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal() or len(length) > 9 or int(length) > limit:
            return json_response({"message": f"the body may have {limit} bytes"}, 413, {"connection": "close"})
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > _MAX_TARGET_BYTES:
            return json_response({"message": "the address is too long"}, 414)
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
