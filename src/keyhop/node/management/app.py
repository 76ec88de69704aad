"""All pages of the management API."""

from collections.abc import Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from keyhop.node.management.guard import Guard
from keyhop.node.management.links import link_pages
from keyhop.node.management.pages import Page, index_of, json_response, page
from keyhop.node.policy.page import policy_page
from keyhop.node.state import NodeControl, NodeView
from keyhop.node.telemetry.metrics import CONTENT_TYPE


def management_app(view: NodeControl, *, names: Collection[str] = ()) -> ASGIApp:
    """The ASGI application; `names` are the host names, besides IP addresses, that it answers to."""
    pages = _pages(view)
    routes = [each.route() for each in pages]
    return Guard(Starlette(routes=routes, exception_handlers={HTTPException: _refused}), names)


def _pages(view: NodeControl) -> list[Page]:
    pages = [
        page("/healthz", "whether the process serves", lambda: {"status": "ok"}),
        page("/readyz", "whether it has keys for somebody, and what it lacks", lambda: _readiness(view)),
        page("/metrics", "figures for Prometheus", lambda: Response(view.metrics(), media_type=CONTENT_TYPE)),
        page("/v1/node", "the node itself", view.node),
        *link_pages(view),
        page("/v1/streams", "the key streams, and where their bytes went", view.streams),
        page("/v1/peers", "the other KMEs, and whether they are connected", view.peers),
        page("/v1/topology", "the network as this node sees it", view.topology),
        page("/v1/gateways", "the KMSs of other domains", view.gateways),
        page("/v1/relay", "how keys are relayed, and how fairly", view.relay),
        page("/v1/audit", "how far the audit log has come", view.audit),
        policy_page(view),
    ]
    index = index_of(pages)
    return [*(page(path, "this index", lambda: index) for path in ("/", "/v1")), *pages]


def _readiness(view: NodeView) -> Response:
    readiness = view.readiness()
    return json_response(readiness, 200 if readiness.ready else 503)


async def _refused(request: Request, failure: Exception) -> Response:
    status = failure.status_code if isinstance(failure, HTTPException) else 500
    messages = {404: "no such page; GET / lists those that there are", 405: "another method here"}
    return json_response({"message": messages.get(status, "refused")}, status)
