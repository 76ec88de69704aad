"""The edge of the ETSI 020 server over real TLS: who is let in, and what is bounded before it is read."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyhop.core.clock import SystemClock
from keyhop.core.ids import KmeId
from keyhop.node.config import NodeConfig, parse_config
from keyhop.node.kms_credentials import KmsCredentials
from keyhop.pki import Authority, TlsFiles, client_context, create_authority
from keyhop.service.etsi020 import server
from keyhop.service.etsi020.calls import Answer, Call, Reply, Respond
from keyhop.service.etsi020.client import MAX_CALLS, KmsClient
from keyhop.service.etsi020.models import MAX_BODY_BYTES
from keyhop.service.etsi020.server import KmsServer

pytestmark = pytest.mark.anyio
JSON = {"content-type": "application/json"}


@pytest.fixture
def authorities(tmp_path: Path) -> dict[str, Authority]:
    """One for each KMS; `red`'s has issued a certificate in the name of `blue`."""
    made = {name: create_authority(tmp_path / name) for name in ("west", "red", "blue")}
    for name, authority in made.items():
        authority.issue_node(name, ["127.0.0.1"])
    made["red"].issue_node("not-blue", ["127.0.0.1"])
    return made


def config(authorities: dict[str, Authority], *, blue_cn: str = "blue") -> NodeConfig:
    certificate, key = authorities["west"].files("node", "west")
    gateways = "".join(
        f"""
[[gateways]]
id = "{name}"
subject_cn = "{blue_cn if name == "blue" else name}"
url = "https://{name}:8446"
callback_url = "https://west:8446/ack"
saes = ["{name}*"]
ca = "{authorities[name].directory / "ca.pem"}"
crl = "{authorities[name].directory / "crl.pem"}"
"""
        for name in ("red", "blue")
    )
    return parse_config(
        f"""
[node]
id = "west"
[tls]
ca = "{authorities["west"].directory / "ca.pem"}"
certificate = "{certificate}"
key = "{key}"
[etsi020]
listen = "127.0.0.1:0"
{gateways}""",
        Path("/"),
    )


class Served:
    """A server that says who asked it, and what."""

    def __init__(self, credentials: KmsCredentials) -> None:
        self.credentials = credentials
        self.answer = True
        self.asked = asyncio.Event()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.server = KmsServer(listener, credentials.server, credentials.identify, self._handle)

    def _handle(self, kms: KmeId, method: str, path: str, body: bytes, respond: Respond) -> None:
        self.asked.set()
        if self.answer:
            respond(Answer(200, f'["{kms}","{method}","{path}",{len(body)}]'.encode()))


@asynccontextmanager
async def serving(config: NodeConfig) -> AsyncIterator[Served]:
    served = Served(KmsCredentials(config, SystemClock()))
    served.server.start()
    try:
        yield served
    finally:
        await served.server.stop(0.2)


def context(authorities: dict[str, Authority], of: str, name: str, least: str = "1.3") -> ssl.SSLContext:
    certificate, key = authorities[of].files("node", name)
    return client_context(TlsFiles(authorities["west"].directory / "ca.pem", certificate, key), least)


def client(authorities: dict[str, Authority], of: str, name: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=context(authorities, of, name), trust_env=False)


async def test_each_kms_is_known_by_name_and_authority(authorities: dict[str, Authority]) -> None:
    async with serving(config(authorities)) as served:
        for name in ("red", "blue"):
            async with client(authorities, name, name) as kms:
                reply = await kms.get(served.url + "/kmapi/versions")
                assert reply.json() == [name, "GET", "/kmapi/versions", 0]


async def test_a_name_that_another_authority_has_issued_is_nobodys(authorities: dict[str, Authority]) -> None:
    async with (
        serving(config(authorities, blue_cn="not-blue")) as served,
        client(authorities, "red", "not-blue") as kms,
    ):
        reply = await kms.get(served.url + "/kmapi/versions")
        assert (reply.status_code, reply.headers["content-type"]) == (401, "application/problem+json")


async def test_a_revoked_certificate_is_refused_on_an_open_connection(authorities: dict[str, Authority]) -> None:
    async with serving(config(authorities)) as served, client(authorities, "red", "red") as kms:
        assert (await kms.get(served.url + "/kmapi/versions")).status_code == 200
        authorities["red"].revoke("red")
        served.credentials.refresh()
        assert (await kms.get(served.url + "/kmapi/versions")).status_code == 401


async def test_an_unknown_authority_ends_at_the_handshake(authorities: dict[str, Authority]) -> None:
    async with serving(config(authorities)) as served, client(authorities, "west", "west") as kms:
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            await kms.get(served.url + "/kmapi/versions")


async def test_tls_1_2_is_refused(authorities: dict[str, Authority]) -> None:
    old = context(authorities, "red", "red", "1.2")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(config(authorities)) as served, httpx.AsyncClient(verify=old, trust_env=False) as kms:
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            await kms.get(served.url + "/kmapi/versions")


async def test_bodies_are_bounded_before_they_are_read(authorities: dict[str, Authority]) -> None:
    async with serving(config(authorities)) as served, client(authorities, "red", "red") as kms:
        path = served.url + "/kmapi/v1/ext_keys"
        largest = await kms.post(path, content=b"x" * MAX_BODY_BYTES, headers=JSON)
        assert largest.json()[3] == MAX_BODY_BYTES
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=context(authorities, "red", "red"))
        writer.write(
            b"POST /kmapi/v1/ext_keys HTTP/1.1\r\nHost: west\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1)
        )
        assert b" 413 " in await reader.readline()  # although nothing of the body has come
        writer.close()

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65_536

        with pytest.raises(httpx.HTTPError):  # it closes while we are still writing, or we see the answer before
            (await kms.post(path, content=endless(), headers=JSON)).raise_for_status()


async def test_heads_and_methods_are_bounded_too(authorities: dict[str, Authority]) -> None:
    async with serving(config(authorities)) as served, client(authorities, "red", "red") as kms:
        path = served.url + "/kmapi/v1/ext_keys"
        assert (await kms.get(path, headers={"x": "y" * 200_000})).status_code == 400
        assert (await kms.post(path, content=b"{}", headers={"content-type": "text/plain"})).status_code == 400
        assert (await kms.get(path + "?a=b")).status_code == 400


async def test_a_stop_does_not_wait_for_those_who_are_never_answered(authorities: dict[str, Authority]) -> None:
    async with serving(config(authorities)) as served, client(authorities, "red", "red") as kms:
        served.answer = False
        asked = asyncio.create_task(kms.post(served.url + "/kmapi/v1/ext_keys", content=b"{}", headers=JSON))
        await served.asked.wait()
        await served.server.stop(0.1)
        with pytest.raises(httpx.HTTPError):
            (await asked).raise_for_status()


async def test_a_kms_with_many_connections_takes_away_none_but_its_own(
    authorities: dict[str, Authority], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    async with serving(config(authorities)) as served, client(authorities, "blue", "blue") as blue:
        assert (await blue.get(served.url + "/kmapi/versions")).status_code == 200
        opened = []
        for _ in range(3):
            tls = context(authorities, "red", "red")
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=tls)
            writer.write(b"GET /kmapi/versions HTTP/1.1\r\nHost: west\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            opened.append((reader, writer))
        with suppress(ConnectionError):
            while await opened[0][0].read(1024):
                pass  # it ends
        assert served.server.connections == 3
        assert (await blue.get(served.url + "/kmapi/versions")).status_code == 200
        assert served.server.connections == 3
        for _, writer in opened:
            writer.close()


async def test_a_request_whose_connection_has_ended_is_not_kept(authorities: dict[str, Authority]) -> None:
    async with serving(config(authorities)) as served:
        served.answer = False
        tls = context(authorities, "red", "red")
        _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=tls)
        writer.write(b"GET /kmapi/versions HTTP/1.1\r\nHost: west\r\n\r\n")
        await served.asked.wait()
        (task,) = served.server._state.tasks
        writer.transport.abort()
        await asyncio.wait_for(task, 5.0)


async def test_the_client_tells_answers_and_silence_apart(authorities: dict[str, Authority]) -> None:
    loop = asyncio.get_running_loop()
    async with serving(config(authorities)) as served:
        kms = KmsClient(served.url, context(authorities, "blue", "blue"), 0.5)

        async def call(target: str, body: bytes | None = None) -> Reply | None:
            answered: asyncio.Future[Reply | None] = loop.create_future()
            kms.make(Call("GET" if body is None else "POST", target, body, answered.set_result))
            return await answered

        assert (await call("/kmapi/versions")) == Reply(200, b'["blue","GET","/kmapi/versions",0]')
        assert (await call(served.url + "/elsewhere", b"{}")) == Reply(200, b'["blue","POST","/elsewhere",2]')
        served.answer = False
        assert await call("/kmapi/versions") is None
        await kms.close()


async def test_while_a_kms_does_not_answer_calls_wait_outside_the_pool(
    authorities: dict[str, Authority], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a thousand of them in there the event loop did nothing else for seconds."""
    async with serving(config(authorities)) as served:
        served.answer = False
        kms = KmsClient(served.url, context(authorities, "blue", "blue"), 60.0)
        requests: list[str] = []
        stream = kms._http.stream

        def counted(method: str, *args: Any, **named: Any) -> Any:
            requests.append(method)
            return stream(method, *args, **named)

        monkeypatch.setattr(kms._http, "stream", counted)
        for _ in range(3 * MAX_CALLS):
            kms.make(Call("GET", "/kmapi/versions", None, lambda reply: None))
        await served.asked.wait()
        assert len(requests) == MAX_CALLS
        await kms.close()


async def test_connections_of_many_calls_are_kept_for_the_next_ones(authorities: dict[str, Authority]) -> None:
    """Over an ocean a new one takes two round trips before its first call begins."""
    async with serving(config(authorities)) as served:
        kms = KmsClient(served.url, context(authorities, "red", "red"), 5.0)
        connections = []
        for _ in range(2):
            answers = [asyncio.get_running_loop().create_future() for _ in range(24)]
            for answer in answers:
                kms.make(Call("GET", "/kmapi/versions", None, answer.set_result))
            assert None not in await asyncio.gather(*answers)
            connections.append(served.server.connections)
        assert connections == [24, 24]
        await kms.close()
