"""The pages of the QKD links, and what operators tell them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from keyhop.core.errors import LinkError, StoreFailure
from keyhop.core.ids import LinkId
from keyhop.link.adapter import Attack, Disturbance, Eavesdropper, MeasuringBasis
from keyhop.node.management.pages import ID, Page, json_response, page
from keyhop.node.state import NodeControl

_LINKS = "/v1/links"


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


def link_pages(control: NodeControl) -> list[Page]:
    """All of them, in the order in which they are to be looked for."""
    return [
        page(_LINKS, "the QKD links", control.links),
        _of_link("/series", "their rate and QBER, a sample a second", control.link_series),
        _of_link("/activity", "what happened, oldest first", control.link_activity),
        _of_link("/disturbance", "what a lab does to its simulated line", control.link_disturbance),
        *_commands(control),
        _of_link("", "one link", control.link),  # the last of them: an ID may have slashes
    ]


def _of_link(end: str, what: str, answer: Callable[[LinkId], Any]) -> Page:
    async def endpoint(request: Request) -> Response:
        async def result() -> Any:
            return answer(LinkId(request.path_params["link"]))

        return await _answered(result)

    return Page(f"{_LINKS}/{ID}{end}", what, endpoint)


def _commands(control: NodeControl) -> list[Page]:
    async def start(link: LinkId, body: bytes) -> Any:
        await control.start_link(link)
        return control.link(link)

    async def stop(link: LinkId, body: bytes) -> Any:
        await control.stop_link(link)
        return control.link(link)

    async def disturb(link: LinkId, body: bytes) -> Any:
        control.disturb_link(link, msgspec.json.decode(body or b"{}", type=_DisturbanceRequest).disturbance())
        return control.link_disturbance(link)

    def command(end: str, what: str, does: Callable[[LinkId, bytes], Awaitable[Any]]) -> Page:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            return await _answered(lambda: does(LinkId(request.path_params["link"]), body))

        return Page(f"{_LINKS}/{ID}/{end}", what, endpoint, "POST")

    return [
        command("start", "it shall produce", start),
        command("stop", "it shall rest", stop),
        command("disturbance", "in a lab: its simulated line suffers this", disturb),
    ]


async def _answered(result: Callable[[], Awaitable[Any]]) -> Response:
    try:
        return json_response(await result())
    except KeyError:
        return json_response({"message": "no such link"}, 404)
    except msgspec.MsgspecError as failure:
        return json_response({"message": str(failure)}, 400)
    except LinkError as failure:
        return json_response({"message": failure.message}, 409)
    except StoreFailure as failure:
        return json_response({"message": failure.message}, 503)
