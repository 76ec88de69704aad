"""What a running node says of itself on its management address."""

import ssl

import httpx
import msgspec

TIMEOUT_S = 2.0
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody; httpx would load the system's certificates for each call, which takes longer than the call."""


class NodeAnswer(msgspec.Struct, frozen=True):
    """GET /v1/node, the part that tells who answers."""

    id: str
    pid: int


class Readiness(msgspec.Struct, frozen=True):
    """GET /readyz: `not_ready` names what is missing."""

    ready: bool
    not_ready: tuple[str, ...] = ()


class LinkState(msgspec.Struct, frozen=True):
    """GET /v1/links, one link as its end at this node sees it; `qber` is a fraction."""

    id: str
    peer: str
    kind: str
    physics: bool
    state: str
    reason: str | None = None
    sbr_bps: float | None = None
    qber: float | None = None
    blocks: int = 0


class NodeManagement:
    """A node's management API. Every call gives None when no node answers there."""

    def __init__(self, url: str) -> None:
        self.url = url

    def node(self) -> NodeAnswer | None:
        """Who answers there."""
        return self._get("/v1/node", NodeAnswer)

    def readiness(self) -> Readiness | None:
        """Whether it is ready, or what it waits for."""
        return self._get("/readyz", Readiness)

    def links(self) -> list[LinkState] | None:
        """The state of its links."""
        return self._get("/v1/links", list[LinkState])

    def _get[T](self, path: str, answer: type[T]) -> T | None:
        try:
            # No proxy: these are loopback addresses, whatever the environment says.
            reply = httpx.get(self.url + path, timeout=TIMEOUT_S, trust_env=False, verify=_NO_TLS)
            return msgspec.json.decode(reply.content, type=answer)
        except (httpx.HTTPError, msgspec.DecodeError):
            return None
