"""The management API over ASGI."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyhop.core.errors import LinkError
from keyhop.core.ids import LinkId
from keyhop.link.adapter import Disturbance, Eavesdropper
from keyhop.node.management import management_app
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion
from keyhop.node.state import (
    Fairness,
    LinkActivity,
    LinkInfo,
    LinkSample,
    NodeInfo,
    PeerInfo,
    PskInfo,
    Readiness,
    RelayInfo,
)
from keyhop.testing.shown_node import ALICE, BOB, ShownNode


class View(ShownNode):
    """A node with the links a-b, whose line is simulated, and x/y z, whose line is not."""

    def __init__(self) -> None:
        self.lack = Readiness(True, [])
        self.asked: list[object] = []

    def node(self) -> NodeInfo:
        return NodeInfo(ALICE, "0.1", 1_700_000_000.0, 42, witness=True)

    def links(self) -> list[LinkInfo]:
        return [LinkInfo(LinkId("a-b"), BOB, "rate", False, "generating", None, 726_000.0, 0.0322, 7)]

    def link(self, link: LinkId) -> LinkInfo:
        return LinkInfo(_known(link), BOB, "rate", False, "off", None, 0.0, None, 7, 2, {"sifted_bps": 1.5})

    def link_series(self, link: LinkId) -> list[LinkSample]:
        _known(link)
        return [LinkSample(1_700_000_001.0, "generating", 726_000.0, 0.0322)]

    def link_activity(self, link: LinkId) -> list[LinkActivity]:
        _known(link)
        return [LinkActivity(1_700_000_002.0, True, "stopped: QBER")]

    def link_disturbance(self, link: LinkId) -> Disturbance:
        if _known(link) != "a-b":
            raise LinkError("not simulated")
        return Disturbance(extra_loss_db=3.0, eavesdropper=Eavesdropper("blinding", 0.5))

    async def start_link(self, link: LinkId) -> None:
        self.asked.append(("start", _known(link)))

    async def stop_link(self, link: LinkId) -> None:
        self.asked.append(("stop", _known(link)))

    def disturb_link(self, link: LinkId, disturbance: Disturbance) -> None:
        if _known(link) != "a-b":
            raise LinkError("not simulated")
        self.asked.append(disturbance)

    def policy(self, question: PolicyQuestion) -> PolicyCheck:
        others = list(question.additional_slaves)
        return PolicyCheck(ALICE, question.master, question.slave, True, False, [], [], additional_slaves=others)

    def relay(self) -> RelayInfo:
        return RelayInfo("hop-by-hop", "prefetch", [Fairness(4, 0.875)], {BOB: 7})

    def peers(self) -> list[PeerInfo]:
        return [PeerInfo(BOB, True, True, None, psk=PskInfo(12, 11, 1_700_000_000.5))]

    def readiness(self) -> Readiness:
        return self.lack

    def metrics(self) -> bytes:
        return b"keyhop_up 1\n"


def _known(link: LinkId) -> LinkId:
    return {"a-b": link, "x/y z": link}[link]


def ask(path: str, *, method: str = "GET", view: View | None = None, **how: Any) -> httpx.Response:
    async def scenario() -> httpx.Response:
        app = management_app(view or View(), names=("Kme.example",))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:18444") as client:
            return await client.request(method, path, **how)

    return asyncio.run(scenario())


def test_the_node_and_what_belongs_to_it() -> None:
    assert ask("/v1/node").json() == {
        "id": "alice",
        "version": "0.1",
        "started_at": 1_700_000_000.0,
        "pid": 42,
        "witness": True,
        "restored": None,
    }
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
            "alarms": 0,
            "details": {},
        }
    ]
    assert ask("/v1/relay").json() == {
        "strategy": "hop-by-hop",
        "buffering": "prefetch",
        "fairness": [{"priority": 4, "jains_index": 0.875}],
        "most_priorities": {"bob": 7},
    }
    assert ask("/v1/peers").json() == [
        {
            "id": "bob",
            "connected": True,
            "synchronised": True,
            "since": None,
            "is_two": False,
            "replaced_us": False,
            "psk": {"generation": 12, "in_use": 11, "refreshed_at": 1700000000.5, "trouble": None},
            "neighbour": True,
            "relay_trouble": None,
        }
    ]
    assert ask("/v1/topology").json() == {
        "nodes": [
            {"id": "bob", "reachable": True, "heard_s": 0.25},
            {"id": "carol", "reachable": False, "heard_s": None},
        ],
        "edges": [
            {"source": "alice", "target": "bob", "stock_bytes": 4096, "rate_bps": 1000, "priority": 4},
            {"source": "bob", "target": "alice", "stock_bytes": 512, "rate_bps": 1000, "priority": 4},
        ],
        "parts": [["alice", "bob"], ["carol"]],
        "avoided": [{"what": "alice→bob", "reason": "no answer"}],
    }
    assert ask("/v1/audit").json() == {"records": 17, "head": "ab" * 32}
    (stream,) = ask("/v1/streams").json()
    assert (stream["owner"], stream["role"], stream["available"], stream["balanced"]) == ("alice", "owner", 50, True)


def test_the_index_lists_every_page_and_only_such_as_there_are() -> None:
    index = ask("/").json()
    assert ask("/v1").json() == index
    assert all(list(entry) == ["method", "path", "what"] and entry["what"] for entry in index)
    for entry in index:
        path = entry["path"].replace("ID", "a-b") + ("?master=a&slave=b" if entry["path"] == "/v1/policy" else "")
        if entry["method"] == "GET":
            assert ask(path).status_code == 200, path
        else:
            assert command(path, View()).status_code == 200, path
    assert len({(entry["method"], entry["path"]) for entry in index}) == len(index)


def test_the_reference_names_every_page_of_the_index() -> None:
    reference = (Path(__file__).parents[3] / "docs" / "reference" / "management.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(/[^`?]*)[`?]", reference, re.MULTILINE)
    assert sorted(named) == sorted([*(entry["path"] for entry in ask("/").json()), "/"])


def test_health_and_readiness() -> None:
    assert ask("/healthz").status_code == 200
    ready = ask("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "missing": []})
    view = View()
    view.lack = Readiness(True, ["peer bob: not connected"])
    partly = ask("/readyz", view=view)
    assert (partly.status_code, partly.json()) == (200, {"ready": True, "missing": ["peer bob: not connected"]})
    view.lack = Readiness(False, ["peer bob: not connected"])
    waiting = ask("/readyz", view=view)
    assert (waiting.status_code, waiting.json()) == (503, {"ready": False, "missing": ["peer bob: not connected"]})
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


def test_a_link_and_what_happened_on_it() -> None:
    link = ask("/v1/links/x%2Fy%20z").json()
    assert (link["id"], link["state"], link["alarms"], link["details"]) == ("x/y z", "off", 2, {"sifted_bps": 1.5})
    assert ask("/v1/links/a-b/series").json() == [
        {"at": 1_700_000_001.0, "state": "generating", "sbr_bps": 726_000.0, "qber": 0.0322}
    ]
    assert ask("/v1/links/x/y z/activity").json() == [{"at": 1_700_000_002.0, "alarm": True, "text": "stopped: QBER"}]
    assert ask("/v1/links/a-b/disturbance").json() == {
        "cut": False,
        "extra_loss_db": 3.0,
        "eavesdropper": {"attack": "blinding", "fraction": 0.5, "basis": "random"},
    }


def command(path: str, view: View, body: bytes = b"", content_type: str = "application/json") -> httpx.Response:
    return ask(path, method="POST", view=view, content=body, headers={"content-type": content_type})


def test_links_are_started_and_stopped() -> None:
    view = View()
    assert command("/v1/links/a-b/start", view).json()["id"] == "a-b"
    assert command("/v1/links/x%2Fy%20z/stop", view, b"{}").status_code == 200
    assert view.asked == [("start", "a-b"), ("stop", "x/y z")]


def test_a_line_is_disturbed_and_left_alone_again() -> None:
    view = View()
    body = b'{"eavesdropper": {"fraction": 0.3, "basis": "Z"}, "cut": true}'
    assert command("/v1/links/a-b/disturbance", view, body).status_code == 200
    assert command("/v1/links/a-b/disturbance", view, b"{}").status_code == 200
    eve = Eavesdropper("intercept-resend", 0.3, "Z")
    assert view.asked == [Disturbance(cut=True, eavesdropper=eve), Disturbance()]


@pytest.mark.parametrize("page", ["", "/series", "/activity", "/disturbance"])
def test_there_is_no_such_link(page: str) -> None:
    reply = ask(f"/v1/links/nowhere{page}")
    assert (reply.status_code, reply.json()) == (404, {"message": "no such link"})


def test_commands_that_cannot_be_carried_out() -> None:
    view = View()
    assert command("/v1/links/nowhere/start", view).status_code == 404
    assert command("/v1/links/x%2Fy%20z/disturbance", view).status_code == 409
    assert ask("/v1/links/x%2Fy%20z/disturbance", view=view).status_code == 409
    assert view.asked == []


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"cut": 1}',
        b'{"extra_loss_db": -1}',
        b'{"extra_loss_db": 1e9}',
        b'{"extra_loss_db": "3"}',
        b'{"eavesdropper": {"fraction": 1.01}}',
        b'{"eavesdropper": {"attack": "bribery"}}',
        b'{"eavesdropper": {"name": "Eve"}}',
        b'{"unknown": 1}',
        b'{"cut": true}\xff',
    ],
)
def test_disturbances_that_make_no_sense(body: bytes) -> None:
    view = View()
    reply = command("/v1/links/a-b/disturbance", view, body)
    assert reply.status_code == 400
    assert reply.json()["message"]
    assert view.asked == []


@pytest.mark.parametrize("zeros", [0, 1, 10, 100])
def test_no_length_is_read_as_a_smaller_one(zeros: int) -> None:
    view = View()
    headers = {"content-type": "application/json", "content-length": "0" * zeros + "4097"}
    refusal = ask("/v1/links/a-b/start", method="POST", view=view, content=b" " * 4097, headers=headers)
    assert refusal.status_code == 413
    assert view.asked == []


def test_a_web_page_cannot_post() -> None:
    view = View()
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert command("/v1/links/a-b/stop", view, b"{}", content_type).status_code == 415
    headers = {"content-type": "application/json", "origin": "http://localhost:3000"}
    assert ask("/v1/links/a-b/stop", method="POST", view=view, content=b"{}", headers=headers).status_code == 403
    assert view.asked == []


def test_a_large_body_is_refused_unread() -> None:
    view = View()
    assert command("/v1/links/a-b/disturbance", view, b" " * 5000).status_code == 413
    chunked = {"content-type": "application/json", "transfer-encoding": "chunked"}
    assert ask("/v1/links/a-b/stop", method="POST", view=view, headers=chunked).status_code == 413
    assert view.asked == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_get_and_post_here(method: str) -> None:
    reply = ask("/v1/node", method=method)
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD, POST")
    assert "message" in reply.json()


def test_what_can_be_read_cannot_be_posted_to() -> None:
    for path in ("/v1/node", "/v1/links", "/v1/links/a-b", "/metrics", "/readyz"):
        assert command(path, View()).status_code == 405
    assert ask("/v1/links/a-b/start").status_code == 404


def test_head_has_the_status_only() -> None:
    assert ask("/readyz", method="HEAD").status_code == 200


@pytest.mark.parametrize(
    "how", [{"content": b"x"}, {"content": b"x" * 100_000}, {"headers": {"transfer-encoding": "chunked"}}]
)
def test_bodies_are_refused(how: dict[str, Any]) -> None:
    assert ask("/v1/node", **how).status_code == 413


def test_a_long_address_is_refused() -> None:
    assert ask("/v1/node?" + "a" * 9000).status_code == 414


def test_an_unknown_page_is_not_found_in_json() -> None:
    reply = ask("/v1/keys")
    assert (reply.status_code, reply.json()) == (404, {"message": "no such page; GET / lists those that there are"})


def test_a_question_about_two_saes_is_read_strictly() -> None:
    several = ask("/v1/policy?slave=c&master=a&slave=d&slave=e").json()
    assert (several["slave"], several["additional_slaves"]) == ("c", ["d", "e"])
    answer = ask("/v1/policy?master=a%2Fb&slave=c&size=512&number=3")
    assert (answer.status_code, answer.json()["master"], answer.json()["slave"]) == (200, "a/b", "c")
    for query, message in (
        ("master=a", "master and slave are required"),
        ("master=a&slave=b&master=c", "the parameters, each once at most but slave, are: master, slave, size, number"),
        ("master=a&slave=b&x=1", "the parameters"),
        ("master=a%20b&slave=b", "visible characters"),
        ("master=a&slave=b&size=-1", "size shall be a decimal integer"),
        ("master=a&slave=b&number=99999999999", "number shall be a decimal integer of at most 10 digits"),
    ):
        refusal = ask(f"/v1/policy?{query}")
        assert refusal.status_code == 400
        assert message in refusal.json()["message"]
