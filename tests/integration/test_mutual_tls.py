"""Mutual TLS as nodes and SAEs meet it: real handshakes over loopback."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from keyhop.core.clock import SystemClock
from keyhop.pki import Authority, Revocations, TlsFiles, client_context, create_authority, server_context
from keyhop.pki.contexts import load_own_certificate

pytestmark = pytest.mark.anyio


class PastClock(SystemClock):
    """Two years ago: what is issued then has expired by now."""

    def wall(self) -> float:
        return time.time() - 2 * 365 * 86_400


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = create_authority(tmp_path / "pki")
    made.issue_node("alice", ["127.0.0.1", "localhost"])
    made.issue_sae("alicesae")
    return made


def files_of(authority: Authority, kind: str, name: str) -> TlsFiles:
    certificate, key = authority.files("node" if kind == "node" else "sae", name)
    return TlsFiles(authority.directory / "ca.pem", certificate, key, authority.directory / "crl.pem")


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[int]:
    """A server that greets whoever it admits; yields its port."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def call(port: int, context: ssl.SSLContext, server_hostname: str = "127.0.0.1") -> str:
    """The TLS version of a connection that was greeted. A TLS 1.3 client learns of a refusal only when it reads."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_hostname)
    try:
        greeting = await reader.read()
        if greeting != b"hello":
            raise ConnectionResetError("closed without a greeting")
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return connection.version() or ""
    finally:
        writer.close()


async def refused(port: int, context: ssl.SSLContext) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await call(port, context)


@pytest.mark.parametrize(("version", "name"), [("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")])
async def test_both_versions_are_accepted(authority: Authority, version: str, name: str) -> None:
    client = client_context(files_of(authority, "sae", "alicesae"))
    client.maximum_version = ssl.TLSVersion[version]
    async with serving(server_context(files_of(authority, "node", "alice"))) as port:
        assert await call(port, client) == name


async def test_a_minimum_of_1_3_refuses_1_2(authority: Authority) -> None:
    client = client_context(files_of(authority, "sae", "alicesae"))
    async with serving(server_context(files_of(authority, "node", "alice"), "1.3")) as port:
        assert await call(port, client) == "TLSv1.3"
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        await refused(port, client)


async def test_tls_1_1_is_refused(authority: Authority) -> None:
    client = client_context(files_of(authority, "sae", "alicesae"))
    lax = server_context(files_of(authority, "node", "alice"))
    for context in (client, lax):
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(lax) as port:
        assert await call(port, client) == "TLSv1.1"  # the client can
    async with serving(server_context(files_of(authority, "node", "alice"))) as port:
        await refused(port, client)


async def test_no_certificate_is_refused(authority: Authority) -> None:
    client = ssl.create_default_context(cafile=authority.directory / "ca.pem")
    async with serving(server_context(files_of(authority, "node", "alice"))) as port:
        await refused(port, client)


async def test_an_unknown_authority_is_refused_at_both_ends(authority: Authority, tmp_path: Path) -> None:
    other = create_authority(tmp_path / "other")
    other.issue_sae("alicesae")
    theirs = files_of(other, "sae", "alicesae")
    certificate, key = other.files("sae", "alicesae")
    trusting = client_context(TlsFiles(authority.directory / "ca.pem", certificate, key))
    async with serving(server_context(files_of(authority, "node", "alice"))) as port:
        await refused(port, trusting)
        with pytest.raises(ssl.SSLCertVerificationError):
            await call(port, client_context(theirs))


async def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    past = Authority.load(authority.directory, clock=PastClock())
    past.issue_sae("oldsae")
    authority.issue_sae("newsae")  # publishes a list of today
    async with serving(server_context(files_of(authority, "node", "alice"))) as port:
        await refused(port, client_context(files_of(authority, "sae", "oldsae")))
        assert await call(port, client_context(files_of(authority, "sae", "newsae")))


async def test_a_revoked_certificate_is_refused(authority: Authority) -> None:
    authority.revoke("alicesae")
    async with serving(server_context(files_of(authority, "node", "alice"))) as port:
        await refused(port, client_context(files_of(authority, "sae", "alicesae")))


async def test_revocation_reaches_a_live_context(authority: Authority) -> None:
    """Twice within one second, because OpenSSL would keep the older of two lists with the same date."""
    authority.issue_sae("othersae")
    first = client_context(files_of(authority, "sae", "alicesae"))
    other = client_context(files_of(authority, "sae", "othersae"))
    files = files_of(authority, "node", "alice")
    assert files.crl is not None
    context, revocations = server_context(files), Revocations(files.ca, files.crl)
    async with serving(context) as port:
        for name, client in (("alicesae", first), ("othersae", other)):
            assert await call(port, client)
            authority.revoke(name)
            assert await call(port, client)  # nobody has told the context yet
            assert revocations.reload()
            revocations.refresh_context(context)
            await refused(port, client)


async def test_a_context_without_a_list_takes_one_later(authority: Authority) -> None:
    files = files_of(authority, "node", "alice")
    context = server_context(TlsFiles(files.ca, files.certificate, files.key))
    authority.revoke("alicesae")
    assert files.crl is not None
    async with serving(context) as port:
        client = client_context(files_of(authority, "sae", "alicesae"))
        assert await call(port, client)
        Revocations(files.ca, files.crl).refresh_context(context)
        await refused(port, client)


async def test_a_client_refuses_a_revoked_server(authority: Authority) -> None:
    server = server_context(files_of(authority, "node", "alice"))
    authority.revoke("alice")
    async with serving(server) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="revoked"):
            await call(port, client_context(files_of(authority, "sae", "alicesae")))


async def test_the_hostname_is_checked_unless_told_otherwise(authority: Authority) -> None:
    files = files_of(authority, "sae", "alicesae")
    async with serving(server_context(files_of(authority, "node", "alice"))) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            await call(port, client_context(files), "bob.example")
        assert await call(port, client_context(files, check_hostname=False), "bob.example")


async def test_an_sae_cannot_pose_as_a_server(authority: Authority) -> None:
    files = files_of(authority, "sae", "alicesae")
    async with serving(server_context(files)) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
            await call(port, client_context(files, check_hostname=False))


def test_the_authority_is_shown_too_without_openssl_searching_for_it(authority: Authority) -> None:
    """OpenSSL searches only among what is trusted; here nothing is."""
    files = files_of(authority, "node", "alice")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_own_certificate(context, files)
    _, client = _handshake(context, authority, None, "TLSv1_3")
    chain = client.get_unverified_chain()
    authority_der = ssl.PEM_cert_to_DER_cert(files.ca.read_text())
    assert [len(chain), chain[1]] == [2, authority_der]


def test_a_tls_1_3_session_gives_no_ticket(authority: Authority) -> None:
    _, client = _handshake(server_context(files_of(authority, "node", "alice")), authority, None, "TLSv1_3")
    assert client.session is None or not client.session.has_ticket


def test_a_session_of_a_ticket_still_shows_its_certificate(authority: Authority) -> None:
    """So whoever admits connections can ask whether it was revoked meanwhile."""
    context = server_context(replace(files_of(authority, "node", "alice"), crl=None), tickets=1)
    shared = client_context(files_of(authority, "sae", "alicesae"))
    shared.options &= ~ssl.OP_NO_TICKET
    server, first = _handshake(context, authority, None, "TLSv1_3", shared)
    assert first.session is not None
    assert first.session.has_ticket
    again, resumed = _handshake(context, authority, first.session, "TLSv1_3", shared)
    assert resumed.session_reused
    assert again.getpeercert(binary_form=True) == server.getpeercert(binary_form=True) is not None


def test_a_session_from_before_the_newest_list_is_not_resumed(authority: Authority) -> None:
    files = files_of(authority, "node", "alice")
    assert files.crl is not None
    context, revocations = server_context(files), Revocations(files.ca, files.crl)
    shared = client_context(files_of(authority, "sae", "alicesae"))
    _server, first = _handshake(context, authority, None, "TLSv1_2", shared)
    assert first.session is not None
    assert not first.session.has_ticket
    authority.revoke("alicesae")
    assert revocations.reload()
    revocations.refresh_context(context)
    with pytest.raises(ssl.SSLError):
        _handshake(context, authority, first.session, "TLSv1_2", shared)


def _handshake(
    context: ssl.SSLContext,
    authority: Authority,
    session: ssl.SSLSession | None,
    version: str,
    client_side: ssl.SSLContext | None = None,
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends after a handshake in memory, and one byte in each direction."""
    client_side = client_side or client_context(files_of(authority, "sae", "alicesae"))
    client_side.maximum_version = ssl.TLSVersion[version]
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(up, down, server_side=True)
    client = client_side.wrap_bio(down, up, server_hostname="127.0.0.1", session=session)
    pending = [client, server]
    while pending:
        for end in list(pending):
            try:
                end.do_handshake()
                pending.remove(end)
            except ssl.SSLWantReadError:
                pass
    server.write(b"x")
    assert client.read(1) == b"x"
    return server, client
