"""GET /v1/policy?master=&slave=&size=&number= of the management API."""

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keyhop.core.errors import BadRequest
from keyhop.core.ids import sae_id
from keyhop.node.policy.state import PolicyQuestion
from keyhop.node.state import NodeView

_PARAMETERS = ("master", "slave", "size", "number")
_MAX_DIGITS = 10


def policy_route(view: NodeView) -> Route:
    """400 for a question that makes no sense; whatever the answer is, it is 200."""

    async def endpoint(request: Request) -> Response:
        try:
            answer, status = msgspec.json.encode(view.policy(_question(request.query_params.multi_items()))), 200
        except BadRequest as refusal:
            answer, status = msgspec.json.encode({"message": refusal.message}), 400
        return Response(answer, status, media_type="application/json")

    return Route("/v1/policy", endpoint, methods=["GET"])


def _question(items: list[tuple[str, str]]) -> PolicyQuestion:
    given = dict(items)
    if len(given) != len(items) or not given.keys() <= set(_PARAMETERS):
        raise BadRequest(f"the parameters, each once at most, are: {', '.join(_PARAMETERS)}")
    if "master" not in given or "slave" not in given:
        raise BadRequest("master and slave are required")
    return PolicyQuestion(
        sae_id(given["master"]), sae_id(given["slave"]), _integer(given, "size"), _integer(given, "number")
    )


def _integer(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise BadRequest(f"{name} shall be a decimal integer of at most {_MAX_DIGITS} digits")
    return int(text)
