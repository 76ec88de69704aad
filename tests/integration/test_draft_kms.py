"""A KMS of the draft of ETSI GS QKD 020 that dies, over real TLS: it is not asked for versions, and yet noticed."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.pki import Authority, TlsFiles, client_context, create_authority, server_context
from keyhop.service.etsi020.calls import Answer, Call, Reply, Respond
from keyhop.service.etsi020.client import KmsClient
from keyhop.service.etsi020.interchange import ASK_AGAIN_S, SILENT_AGAIN_S, Interchange, Other
from keyhop.service.etsi020.server import KmsServer
from keyhop.testing.audit import MemoryAudit
from keyhop.testing.kms import MemoryDomain
from keyhop.testing.virtual import VirtualClock

pytestmark = pytest.mark.anyio
IN_TIME_S = 5.0
THERE, AWAY = (True, None), (False, "it does not answer")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = create_authority(tmp_path / "pki")
    for name in ("near", "far"):
        made.issue_node(name, ["127.0.0.1"])
    return made


def files(authority: Authority, name: str) -> TlsFiles:
    certificate, key = authority.files("node", name)
    return TlsFiles(authority.directory / "ca.pem", certificate, key)


class Draft:
    """A KMS at a port of its own that comes and goes; `asked` are the requests that it got."""

    def __init__(self, authority: Authority) -> None:
        self._context = server_context(files(authority, "far"), "1.3")
        self.asked: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = free.getsockname()
        self.url = f"https://127.0.0.1:{self.address[1]}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = KmsServer(socket.create_server(self.address), self._context, lambda chain: KmeId("near"), self._handle)
        server.start()
        try:
            yield
        finally:
            await server.stop(0.2)

    def _handle(self, kms: KmeId, method: str, path: str, body: bytes, respond: Respond) -> None:
        self.asked.append(path)
        respond(Answer(202))


class Near:
    """The interchange with it: a real client, and a clock that the test sets."""

    def __init__(self, context: ssl.SSLContext, url: str) -> None:
        self._client = KmsClient(url, context, 2.0)
        self._clock = VirtualClock()
        self._calls: asyncio.Queue[Reply | None] = asyncio.Queue()
        store = MemoryStore({})
        journal = Journal(store, lambda: None, MemoryAudit(self._clock))
        other = Other(KmeId("far"), (url,), "https://near/ack", "0.5.1")
        self.interchange = Interchange(
            other, MemoryDomain(frozenset({SaeId("a")})), store, journal, self._clock, self._make
        )

    def _make(self, call: Call) -> None:
        def answered(reply: Reply | None) -> None:
            call.answered(reply)
            self._calls.put_nowait(reply)

        self._client.make(Call(call.method, call.target, call.body, answered))

    async def passed(self, seconds: float) -> tuple[bool | None, str | None]:
        """Whether it is reachable, and its trouble, once what is called after that time is answered."""
        self._clock.advance(seconds)
        self.interchange.tick()
        async with asyncio.timeout(IN_TIME_S):
            await self._calls.get()
        return self.interchange.reachable, self.interchange.trouble

    async def close(self) -> None:
        await self._client.close()


async def test_a_draft_kms_that_dies_is_noticed_as_soon_as_another_and_gets_no_request_for_it(
    authority: Authority,
) -> None:
    draft = Draft(authority)
    near = Near(client_context(files(authority, "near"), "1.3"), draft.url)
    async with draft.serving():
        assert await near.passed(0.0) == THERE
    assert await near.passed(ASK_AGAIN_S) == AWAY
    assert await near.passed(SILENT_AGAIN_S) == AWAY
    async with draft.serving():
        assert await near.passed(SILENT_AGAIN_S) == THERE
    assert draft.asked == []
    await near.close()


async def test_who_listens_there_without_the_certificate_is_not_that_kms(authority: Authority, tmp_path: Path) -> None:
    draft = Draft(authority)
    stranger = create_authority(tmp_path / "stranger")
    stranger.issue_node("near", ["127.0.0.1"])
    near = Near(client_context(files(stranger, "near"), "1.3"), draft.url)
    async with draft.serving():
        assert await near.passed(0.0) == AWAY
    with socket.create_server(draft.address):  # it takes the connection, and says nothing
        assert await near.passed(SILENT_AGAIN_S) == AWAY
    await near.close()
