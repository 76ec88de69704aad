"""GET /v1/policy?master=&slave=&size=&number= of the management API; `slave` may be there several times."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from keyhop.core.errors import BadRequest
from keyhop.core.ids import sae_id
from keyhop.node.management.pages import Page, json_response
from keyhop.node.policy.state import PolicyQuestion
from keyhop.node.state import NodeView

_PARAMETERS = ("master", "slave", "size", "number")
_MAX_DIGITS = 10


def policy_page(view: NodeView) -> Page:
    """400 for a question that makes no sense; whatever the answer is, it is 200."""

    async def endpoint(request: Request) -> Response:
        try:
            return json_response(view.policy(_question(request.query_params.multi_items())))
        except BadRequest as refusal:
            return json_response({"message": refusal.message}, 400)

    return Page("/v1/policy", "?master=M&slave=S: whether they may have a key now, and why", endpoint)


def _question(items: list[tuple[str, str]]) -> PolicyQuestion:
    slaves = [value for name, value in items if name == "slave"]
    given = {name: value for name, value in items if name != "slave"}
    if len(given) + len(slaves) != len(items) or not given.keys() <= set(_PARAMETERS):
        raise BadRequest(f"the parameters, each once at most but slave, are: {', '.join(_PARAMETERS)}")
    if "master" not in given or not slaves:
        raise BadRequest("master and slave are required")
    slave, *others = map(sae_id, slaves)
    size, number = _integer(given, "size"), _integer(given, "number")
    return PolicyQuestion(sae_id(given["master"]), slave, size, number, tuple(others))


def _integer(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise BadRequest(f"{name} shall be a decimal integer of at most {_MAX_DIGITS} digits")
    return int(text)
