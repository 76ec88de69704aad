"""A node's management API, as its callers see it: what the command line, labs and consoles sit on.

    Management("http://127.0.0.1:8444").links()

Every call may raise NotAnswering, and those about one link Refused.
"""

import re
import ssl
from urllib.parse import quote, urlencode

import httpx
import msgspec

from keyhop.core.errors import KeyhopError
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion
from keyhop.node.state import (
    AuditInfo,
    Disturbance,
    GatewayInfo,
    LinkActivity,
    LinkInfo,
    LinkSample,
    NodeInfo,
    PeerInfo,
    Readiness,
    RelayInfo,
    StreamInfo,
    TopologyInfo,
)

TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 4 << 20
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody; httpx would load the system's certificates for each call, which takes longer than the call."""


class NotAnswering(KeyhopError):
    """Nobody answers at the address, or not as a node does."""


class Refused(KeyhopError):
    """The node cannot do that; `status` is the HTTP code."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _Refusal(msgspec.Struct, frozen=True):
    message: str


class Management:
    """The node whose management address is `url`, http://host:port."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url
        self._timeout_s = timeout_s

    def node(self) -> NodeInfo:
        """Who answers there."""
        return self._get("/v1/node", NodeInfo)

    def readiness(self) -> Readiness:
        """Whether it is ready, or what it waits for."""
        return self._get("/readyz", Readiness)

    def links(self) -> list[LinkInfo]:
        """Its links."""
        return self._get("/v1/links", list[LinkInfo])

    def peers(self) -> list[PeerInfo]:
        """The nodes that it should be connected to."""
        return self._get("/v1/peers", list[PeerInfo])

    def streams(self) -> list[StreamInfo]:
        """The ends of key streams that it holds."""
        return self._get("/v1/streams", list[StreamInfo])

    def topology(self) -> TopologyInfo:
        """The network as it sees it."""
        return self._get("/v1/topology", TopologyInfo)

    def gateways(self) -> list[GatewayInfo]:
        """The KMSs of other domains that it is joined to."""
        return self._get("/v1/gateways", list[GatewayInfo])

    def relay(self) -> RelayInfo:
        """How its keys are relayed, and how fairly."""
        return self._get("/v1/relay", RelayInfo)

    def audit(self) -> AuditInfo:
        """How far its audit log has come: what to keep elsewhere, to hold the log against."""
        return self._get("/v1/audit", AuditInfo)

    def policy(self, question: PolicyQuestion) -> PolicyCheck:
        """Whether SAEs may have a key now, and why."""
        asked = [("master", question.master), *(("slave", slave) for slave in question.slaves)]
        wanted = (("size", question.size_bits), ("number", question.number))
        query = urlencode([*asked, *((name, str(value)) for name, value in wanted if value is not None)])
        return self._get(f"/v1/policy?{query}", PolicyCheck)

    def link(self, link: str) -> LinkInfo:
        """One link."""
        return self._get(_page(link), LinkInfo)

    def link_series(self, link: str) -> list[LinkSample]:
        """SBR and QBER of the last quarter of an hour."""
        return self._get(_page(link, "series"), list[LinkSample])

    def link_activity(self, link: str) -> list[LinkActivity]:
        """What happened on it, oldest first."""
        return self._get(_page(link, "activity"), list[LinkActivity])

    def start_link(self, link: str) -> LinkInfo:
        """It shall produce."""
        return self._post(_page(link, "start"), b"{}", LinkInfo)

    def stop_link(self, link: str) -> LinkInfo:
        """It shall rest, until it is started or the node is."""
        return self._post(_page(link, "stop"), b"{}", LinkInfo)

    def disturbance(self, link: str) -> Disturbance:
        """What its simulated line suffers."""
        return self._get(_page(link, "disturbance"), Disturbance)

    def disturb(self, link: str, disturbance: Disturbance) -> Disturbance:
        """In a lab: its line suffers this from now on, and nothing else."""
        return self._post(_page(link, "disturbance"), msgspec.json.encode(disturbance), Disturbance)

    def _get[T](self, path: str, answer: type[T]) -> T:
        return self._ask("GET", path, None, answer)

    def _post[T](self, path: str, body: bytes, answer: type[T]) -> T:
        return self._ask("POST", path, body, answer)

    def _ask[T](self, method: str, path: str, body: bytes | None, answer: type[T]) -> T:
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            if not httpx.URL(self.url).host:
                raise httpx.InvalidURL(self.url)
            # No proxy: the management address is local, whatever the environment says.
            with (
                httpx.Client(base_url=self.url, timeout=self._timeout_s, trust_env=False, verify=_NO_TLS) as client,
                client.stream(method, path, content=body, headers=headers) as reply,
            ):
                content = _bounded(reply)
            if reply.is_success or path == "/readyz":
                return msgspec.json.decode(content, type=answer)
            refusal = msgspec.json.decode(content, type=_Refusal)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as failure:  # msgspec's errors are ValueErrors
            raise self._not_answering(failure) from None
        raise Refused(refusal.message, reply.status_code)

    def _not_answering(self, failure: Exception) -> NotAnswering:
        hint = "is it running? its management address is [management] listen in its node.toml"
        match failure:
            case httpx.InvalidURL() | httpx.UnsupportedProtocol():
                reason, hint = "that is no address", "write http://host:port"
            case httpx.TimeoutException():
                reason = f"nothing came within {self._timeout_s:g} s"
            case httpx.ConnectError():
                reason = _connect_reason(failure)
            case httpx.HTTPError():
                reason = "the connection broke, or what is there does not speak HTTP"
            case _:
                reason = "what answers there is not a node"
        return NotAnswering(f"no node answers at {self.url}: {reason}", hint=hint)


def _connect_reason(failure: httpx.ConnectError) -> str:
    """As the system says it, without its number: `connection refused`."""
    text = re.sub(r"^\[.*?\]\s*", "", str(failure)) or "no connection"
    return text[0].lower() + text[1:]


def _page(link: str, page: str | None = None) -> str:
    path = f"/v1/links/{quote(link, safe='')}"
    return path if page is None else f"{path}/{page}"


def _bounded(reply: httpx.Response) -> bytes:
    content = bytearray()
    for part in reply.iter_bytes():
        content += part
        if len(content) > MAX_ANSWER_BYTES:
            raise ValueError("the answer is too long")
    return bytes(content)
