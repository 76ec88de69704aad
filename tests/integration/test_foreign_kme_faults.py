"""The client for vendors' KMEs over real TLS: who it talks to, and what it bears with."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from keyhop.link.vendors.device import DeviceFault, NoKeysNow
from keyhop.link.vendors.etsi014_client import Etsi014Client
from keyhop.link.vendors.failures import plain_reason
from keyhop.link.vendors.settings import Etsi014Options
from keyhop.link.vendors.tls import device_context
from keyhop.pki import create_authority
from keyhop.pki.contexts import TlsFiles, server_context

type Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

STATUS = b'{"key_size": 256, "max_key_per_request": 10, "unknown": {"a": [1]}}'


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    authority = create_authority(directory)
    authority.issue_node("kme", ["127.0.0.1", "kme.vendor"])
    authority.issue_node("elsewhere", ["elsewhere.vendor"])
    authority.issue_sae("near")
    return directory


def context(pki: Path, name: str = "kme") -> ssl.SSLContext:
    return server_context(TlsFiles(pki / "ca.pem", pki / "nodes" / f"{name}.pem", pki / "nodes" / f"{name}.key"))


def answer(body: bytes, head: bytes = b"HTTP/1.1 200 OK", more: bytes = b"") -> Talk:
    return raw(head + b"\r\ncontent-length: %d\r\n" % len(body) + more + b"\r\n" + body)


def raw(data: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()

    return talk


def ask(pki: Path, talk: Talk, tls: ssl.SSLContext | None = None, **others: Any) -> Any:
    """What the client makes of get status."""

    async def scenario() -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await talk(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls or context(pki))
        port = server.sockets[0].getsockname()[1]
        client = Etsi014Client(
            Etsi014Options(
                "initiator",
                f"https://127.0.0.1:{port}",
                "far",
                pki / "ca.pem",
                pki / "saes" / "near.pem",
                pki / "saes" / "near.key",
                **({"timeout_s": 5.0} | others),
            )
        )
        try:
            return await client.status()
        finally:
            await client.close()
            server.close()

    return asyncio.run(scenario())


def test_what_is_well_is_read_and_what_is_unknown_is_ignored(pki: Path) -> None:
    status = ask(pki, answer(STATUS))
    assert (status.key_size, status.max_key_per_request) == (256, 10)


async def endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-more: " + b"y" * 1000 + b"\r\n")
        await writer.drain()


async def endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        await writer.drain()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize(
    ("talk", "told"),
    [
        (raw(b""), r"cannot ask the KME at 127\.0\.0\.1:\d+: Server disconnected"),
        (
            raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}"),
            r"cannot ask the KME at 127\.0\.0\.1:\d+: peer closed connection",
        ),
        (raw(b"SSH-2.0-OpenSSH_9\r\n\r\n"), "cannot ask the KME"),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), "cannot ask the KME"),
        (endless_head, "cannot ask the KME"),
        (endless_body, "longer than 1048576 bytes"),
        (answer(b"\x1f\x8b", more=b"content-encoding: gzip\r\n"), "compressed"),
        (answer(b"", b"HTTP/1.1 301 Moved", b"location: https://127.0.0.1:1/\r\n"), "HTTP 301"),
        (answer(b'{"message": "who?"}', b"HTTP/1.1 401 Unauthorised"), "401: who"),
        (answer(b"[" * 90_000), "not as the standard has it"),
        (answer(b'{"key_size": 1e400}'), "the KME's answer is not"),
        (answer(b"\xff"), "the KME's answer is not"),
        (answer(b'{"message": "\xff"}', b"HTTP/1.1 500 Broken"), "HTTP 500"),
    ],
)
def test_what_is_not_well_is_a_fault_with_its_reason(pki: Path, talk: Talk, told: str) -> None:
    with pytest.raises(DeviceFault, match=told):
        ask(pki, talk)


@pytest.mark.parametrize("talk", [drip, silence])
def test_a_request_has_one_deadline_for_all_of_it(pki: Path, talk: Talk) -> None:
    with pytest.raises(DeviceFault, match=r"the KME at 127\.0\.0\.1:\d+ did not answer within 0\.4 s"):
        ask(pki, talk, timeout_s=0.4)


def test_503_is_no_fault(pki: Path) -> None:
    with pytest.raises(NoKeysNow, match="503: later") as caught:
        ask(pki, answer(b'{"message": "later"}', b"HTTP/1.1 503 Later", b"retry-after: 3\r\n"))
    assert caught.value.retry_after_s == 3.0


def test_a_kme_of_another_name_is_refused_unless_that_name_is_expected(pki: Path) -> None:
    with pytest.raises(DeviceFault, match="certificate verify failed"):
        ask(pki, answer(STATUS), context(pki, "elsewhere"))
    assert ask(pki, answer(STATUS), context(pki, "elsewhere"), server_name="elsewhere.vendor").key_size == 256
    with pytest.raises(DeviceFault, match="certificate verify failed"):
        ask(pki, answer(STATUS), server_name="elsewhere.vendor")


def test_a_kme_of_another_authority_is_refused(pki: Path, tmp_path: Path) -> None:
    create_authority(tmp_path).issue_node("kme", ["127.0.0.1"])
    with pytest.raises(
        DeviceFault, match=r"^cannot ask the KME at 127\.0\.0\.1:\d+: certificate verify failed: [a-z -]+$"
    ):
        ask(pki, answer(STATUS), context(tmp_path))


@pytest.mark.parametrize(("url", "address"), [("https://127.0.0.1:1", "127.0.0.1:1"), ("https://[::1]/x", "[::1]:443")])
def test_a_kme_that_is_not_there_is_told_with_its_address(pki: Path, url: str, address: str) -> None:
    async def scenario() -> None:
        files = pki / "ca.pem", pki / "saes" / "near.pem", pki / "saes" / "near.key"
        client = Etsi014Client(Etsi014Options("initiator", url, "far", *files))
        try:
            await client.status()
        finally:
            await client.close()

    with pytest.raises(DeviceFault) as fault:
        asyncio.run(scenario())
    said, _, reason = fault.value.message.partition(f"cannot ask the KME at {address}: ")
    assert (said, reason) in {("", "Connection refused"), ("", "Cannot assign requested address")}


def test_a_kme_that_refuses_our_certificate_is_told(pki: Path, tmp_path: Path) -> None:
    """In memory, because asyncio's server breaks off without the alert that others send."""
    create_authority(tmp_path)
    kme = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    kme.load_cert_chain(pki / "nodes" / "kme.pem", pki / "nodes" / "kme.key")
    kme.verify_mode = ssl.CERT_REQUIRED
    kme.load_verify_locations(tmp_path / "ca.pem")
    ours = device_context(pki / "ca.pem", pki / "saes" / "near.pem", pki / "saes" / "near.key", "1.2")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(back, there, server_hostname="kme.vendor")
    server = kme.wrap_bio(there, back, server_side=True)
    for step in (client.do_handshake, server.do_handshake, client.do_handshake, server.do_handshake):
        with contextlib.suppress(ssl.SSLError):
            step()
    with pytest.raises(ssl.SSLError) as refusal:
        client.read()
    assert plain_reason(refusal.value) == "TLS: tlsv1 alert unknown ca"


def test_an_old_tls_is_refused(pki: Path) -> None:
    old = context(pki)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert ask(pki, answer(STATUS), old).key_size == 256
    with pytest.raises(DeviceFault, match="cannot ask the KME"):
        ask(pki, answer(STATUS), old, minimum_tls="1.3")
