"""The management API over ASGI."""

import asyncio
from typing import Any

import httpx
import pytest

from keyhop.core.ids import KmeId, LinkId
from keyhop.node.management import management_app
from keyhop.node.state import LinkInfo, NodeInfo, PeerInfo, StreamInfo

ALICE, BOB = KmeId("alice"), KmeId("bob")


class View:
    def __init__(self) -> None:
        self.not_ready: list[str] = []

    def node(self) -> NodeInfo:
        return NodeInfo(ALICE, "0.1", 1_700_000_000.0, 42)

    def links(self) -> list[LinkInfo]:
        return [LinkInfo(LinkId("a-b"), BOB, "rate", False, "generating", None, 726_000.0, 0.0322, 7)]

    def streams(self) -> list[StreamInfo]:
        return [StreamInfo(ALICE, BOB, "owner", 3, 100, 50, 10, 20, 5, 4, 3, 2, 6, True)]

    def peers(self) -> list[PeerInfo]:
        return [PeerInfo(BOB, True, True, None)]

    def readiness(self) -> list[str]:
        return self.not_ready

    def metrics(self) -> bytes:
        return b"keyhop_up 1\n"


def ask(path: str, *, method: str = "GET", view: View | None = None, **how: Any) -> httpx.Response:
    async def scenario() -> httpx.Response:
        app = management_app(view or View(), names=("Kme.example",))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:18444") as client:
            return await client.request(method, path, **how)

    return asyncio.run(scenario())


def test_the_node_and_what_belongs_to_it() -> None:
    assert ask("/v1/node").json() == {"id": "alice", "version": "0.1", "started_at": 1_700_000_000.0, "pid": 42}
    assert ask("/v1/links").json() == [
        {
            "id": "a-b",
            "peer": "bob",
            "kind": "rate",
            "physics": False,
            "state": "generating",
            "reason": None,
            "sbr_bps": 726_000.0,
            "qber": 0.0322,
            "blocks": 7,
        }
    ]
    assert ask("/v1/peers").json() == [{"id": "bob", "connected": True, "synchronised": True, "since": None}]
    (stream,) = ask("/v1/streams").json()
    assert (stream["owner"], stream["role"], stream["available"], stream["balanced"]) == ("alice", "owner", 50, True)


def test_health_and_readiness() -> None:
    assert ask("/healthz").status_code == 200
    ready = ask("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "not_ready": []})
    view = View()
    view.not_ready = ["peer bob: not connected"]
    waiting = ask("/readyz", view=view)
    assert (waiting.status_code, waiting.json()) == (503, {"ready": False, "not_ready": ["peer bob: not connected"]})
    assert ask("/healthz", view=view).status_code == 200


def test_metrics_are_passed_on() -> None:
    reply = ask("/metrics")
    assert reply.content == b"keyhop_up 1\n"
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_answers_are_json_and_not_kept() -> None:
    reply = ask("/v1/node")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:18444", "[::1]:1", "10.0.0.7:80", "localhost:9", "kme.EXAMPLE"]
)
def test_hosts_that_are_ours(host: str) -> None:
    assert ask("/v1/node", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["attacker.example", "localhost.attacker.example:18444", "", "127.0.0.1.nip.example"])
def test_a_rebound_name_gets_nothing(host: str) -> None:
    reply = ask("/v1/node", headers={"host": host})
    assert reply.status_code == 421
    assert "alice" not in reply.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_get_here(method: str) -> None:
    reply = ask("/v1/node", method=method)
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD")
    assert "message" in reply.json()


def test_head_has_the_status_only() -> None:
    assert ask("/readyz", method="HEAD").status_code == 200


@pytest.mark.parametrize(
    "how", [{"content": b"x"}, {"content": b"x" * 100_000}, {"headers": {"transfer-encoding": "chunked"}}]
)
def test_bodies_are_refused(how: dict[str, Any]) -> None:
    assert ask("/v1/node", **how).status_code == 413


def test_a_long_address_is_refused() -> None:
    assert ask("/v1/node?" + "a" * 5000).status_code == 414


def test_an_unknown_page_is_not_found_in_json() -> None:
    reply = ask("/v1/keys")
    assert (reply.status_code, reply.json()) == (404, {"message": "no such page"})
