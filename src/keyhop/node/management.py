"""The management API: what a node tells its operators, and the few things that they may tell it, as JSON over HTTP.

No key is shown. Whoever reaches the address may read, and start and stop links: it belongs on loopback or on a
network for management. A web page that the operator's browser has open must not get here, neither through a DNS name
that was rebound to this address (the `Host` has to be an IP address, `localhost` or a name that the node was given)
nor by posting a form (a POST has to be JSON, which browsers ask permission for, and we give none).
"""

import ipaddress
from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, Any

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyhop.core.errors import LinkError, StoreFailure
from keyhop.core.ids import LinkId
from keyhop.link.adapter import Attack, Disturbance, Eavesdropper, MeasuringBasis
from keyhop.node.policy.route import policy_route
from keyhop.node.state import NodeControl, NodeView
from keyhop.node.telemetry.metrics import CONTENT_TYPE

_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_MAX_TARGET_BYTES = 1024
_MAX_BODY_BYTES = 4096


class _EavesdropperRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    attack: Attack = "intercept-resend"
    fraction: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    basis: MeasuringBasis = "random"


class _DisturbanceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out the line does not suffer any more."""

    cut: bool = False
    extra_loss_db: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    eavesdropper: _EavesdropperRequest | None = None

    def disturbance(self) -> Disturbance:
        eve = self.eavesdropper
        return Disturbance(
            self.cut, self.extra_loss_db, Eavesdropper(eve.attack, eve.fraction, eve.basis) if eve else None
        )


def management_app(view: NodeControl, *, names: Collection[str] = ()) -> ASGIApp:
    """The ASGI application; `names` are the host names, besides IP addresses, that it answers to."""
    routes = [
        _route("/healthz", lambda: _json({"status": "ok"})),
        _route("/readyz", lambda: _readiness(view)),
        _route("/metrics", lambda: Response(view.metrics(), media_type=CONTENT_TYPE)),
        _route("/v1/node", lambda: _json(view.node())),
        _route("/v1/links", lambda: _json(view.links())),
        _link_route("/series", lambda link: view.link_series(link)),
        _link_route("/activity", lambda link: view.link_activity(link)),
        _link_route("/disturbance", lambda link: view.link_disturbance(link)),
        *_link_commands(view),
        _link_route("", lambda link: view.link(link)),  # the last of them: an ID may have slashes
        _route("/v1/streams", lambda: _json(view.streams())),
        _route("/v1/peers", lambda: _json(view.peers())),
        _route("/v1/topology", lambda: _json(view.topology())),
        _route("/v1/gateways", lambda: _json(view.gateways())),
        _route("/v1/relay", lambda: _json(view.relay())),
        _route("/v1/audit", lambda: _json(view.audit())),
        policy_route(view),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={HTTPException: _refused}), names)


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
            return _json({"message": "this address does not answer to that Host"}, 421)
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return _json({"message": "only GET and POST here"}, 405, {"allow": "GET, HEAD, POST"})
        if scope["method"] == "POST":
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return _json({"message": "the content type shall be application/json"}, 415, {"connection": "close"})
            if "origin" in headers:
                return _json({"message": "not for web pages"}, 403, {"connection": "close"})
        limit = _MAX_BODY_BYTES if scope["method"] == "POST" else 0
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal() or int(length[:9]) > limit:
            return _json({"message": f"the body may have {limit} bytes"}, 413, {"connection": "close"})
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


def _link_route(page: str, answer: Callable[[LinkId], Any]) -> Route:
    async def endpoint(request: Request) -> Response:
        async def result() -> Any:
            return answer(LinkId(request.path_params["link"]))

        return await _answered(result)

    return Route("/v1/links/{link:path}" + page, endpoint, methods=["GET"])


def _link_commands(control: NodeControl) -> list[Route]:
    async def start(link: LinkId, body: bytes) -> Any:
        await control.start_link(link)
        return control.link(link)

    async def stop(link: LinkId, body: bytes) -> Any:
        await control.stop_link(link)
        return control.link(link)

    async def disturb(link: LinkId, body: bytes) -> Any:
        control.disturb_link(link, msgspec.json.decode(body or b"{}", type=_DisturbanceRequest).disturbance())
        return control.link_disturbance(link)

    def route(page: str, command: Callable[[LinkId, bytes], Awaitable[Any]]) -> Route:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            return await _answered(lambda: command(LinkId(request.path_params["link"]), body))

        return Route(f"/v1/links/{{link:path}}/{page}", endpoint, methods=["POST"])

    return [route("start", start), route("stop", stop), route("disturbance", disturb)]


async def _answered(result: Callable[[], Awaitable[Any]]) -> Response:
    try:
        return _json(await result())
    except KeyError:
        return _json({"message": "no such link"}, 404)
    except msgspec.MsgspecError as failure:
        return _json({"message": str(failure)}, 400)
    except LinkError as failure:
        return _json({"message": failure.message}, 409)
    except StoreFailure as failure:
        return _json({"message": failure.message}, 503)


def _readiness(view: NodeView) -> Response:
    readiness = view.readiness()
    return _json(readiness, 200 if readiness.ready else 503)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


async def _refused(request: Request, failure: Exception) -> Response:
    status = failure.status_code if isinstance(failure, HTTPException) else 500
    messages = {404: "no such page", 405: "another method here"}
    return _json({"message": messages.get(status, "refused")}, status)
