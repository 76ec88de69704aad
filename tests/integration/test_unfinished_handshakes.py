"""Clients whose server never ends a handshake: who gives up on it leaves no connection behind."""

import asyncio
import gc
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from keyhop.apps.client import AsyncClient, TransportError
from keyhop.link.vendors.device import DeviceFault
from keyhop.link.vendors.etsi014_client import Etsi014Client
from keyhop.link.vendors.settings import Etsi014Options
from keyhop.pki import Authority, TlsFiles, client_context, create_authority
from keyhop.service.etsi020.calls import VERSIONS, Call
from keyhop.service.etsi020.client import KmsClient
from keyhop.testing.conformance.https import Identity, Party

pytestmark = pytest.mark.anyio
TIMEOUT_S = 0.2
LONG_S = 60.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = create_authority(tmp_path_factory.mktemp("unfinished") / "pki")
    made.issue_node("kme", ["127.0.0.1"])
    return made


@pytest.fixture
def files(authority: Authority) -> TlsFiles:
    return TlsFiles(authority.directory / "ca.pem", *authority.files("node", "kme"))


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Accepts whoever comes, and says nothing. What was left open is told when it is collected."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener
    gc.collect()


def url(listener: socket.socket) -> str:
    return f"https://127.0.0.1:{listener.getsockname()[1]}"


async def greeted(listener: socket.socket) -> socket.socket:
    """The next connection, once its client's first words have come: it is in its handshake."""
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(listener)
    assert await loop.sock_recv(connection, 1)
    return connection


async def test_calls_to_a_kms_that_are_given_up(silent: socket.socket, files: TlsFiles) -> None:
    client = KmsClient(url(silent), client_context(files, "1.3"), LONG_S)
    client.make(Call("GET", VERSIONS, None, lambda reply: None))
    with await greeted(silent):
        await client.close()


async def test_a_vendors_kme_that_runs_out_of_time(silent: socket.socket, files: TlsFiles) -> None:
    client = Etsi014Client(
        Etsi014Options(
            base_url=url(silent),
            peer_sae_id="peer",
            role="initiator",
            ca=files.ca,
            certificate=files.certificate,
            key=files.key,
            timeout_s=TIMEOUT_S,
        )
    )
    with pytest.raises(DeviceFault, match="did not answer"):
        await client.status()
    await client.close()


async def test_an_applications_call_that_runs_out_of_time(silent: socket.socket, files: TlsFiles) -> None:
    async with AsyncClient(url(silent), client_context(files, "1.3"), timeout_s=TIMEOUT_S) as client:
        with pytest.raises(TransportError):
            await client.get_status("slave")


async def test_an_applications_call_that_is_cancelled(silent: socket.socket, files: TlsFiles) -> None:
    async with AsyncClient(url(silent), client_context(files, "1.3")) as client:
        asking = asyncio.create_task(client.get_status("slave"))
        with await greeted(silent):
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking


def test_a_server_under_test_that_runs_out_of_time(silent: socket.socket, files: TlsFiles) -> None:
    party = Party(url(silent), Identity("kme", files.ca, files.certificate, files.key), TIMEOUT_S)
    with pytest.raises(TimeoutError):
        party.get("/")
    party.close()
