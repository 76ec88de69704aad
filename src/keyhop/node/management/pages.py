"""Pages of the management API, and the index of them."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

type Endpoint = Callable[[Request], Awaitable[Response]]

ID = "{link:path}"
"""Stands in a path for the ID of a link, which may have slashes."""


@dataclass(frozen=True, slots=True)
class Page:
    """One address, and `what` is there, for people."""

    path: str
    what: str
    endpoint: Endpoint
    method: Literal["GET", "POST"] = "GET"

    def route(self) -> Route:
        """As Starlette wants it."""
        return Route(self.path, self.endpoint, methods=[self.method])


class IndexEntry(msgspec.Struct, frozen=True):
    """A page in the index; `ID` stands in its path for the ID of a link, percent-encoded."""

    method: str
    path: str
    what: str


def page(path: str, what: str, answer: Callable[[], Any]) -> Page:
    """GET of what `answer` returns: a response, or what becomes one of JSON."""

    async def endpoint(request: Request) -> Response:  # async: the view is read on the node's own event loop
        found = answer()
        return found if isinstance(found, Response) else json_response(found)

    return Page(path, what, endpoint)


def index_of(pages: Iterable[Page]) -> list[IndexEntry]:
    """What there is."""
    return [IndexEntry(each.method, each.path.replace(ID, "ID"), each.what) for each in pages]


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A document."""
    return Response(msgspec.json.encode(value), status, headers, "application/json")
