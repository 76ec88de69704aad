"""Nodes that know each other by a pre-shared key alone: real nodes and sockets, and those who should not get in."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from keyhop.core.clock import SystemClock
from keyhop.core.entropy import SystemEntropy
from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.memory import MemoryStore
from keyhop.lab.ports import free_ports
from keyhop.network import connections as connections_module
from keyhop.network import strangers
from keyhop.network.connections import PeerAddress
from keyhop.network.peer import Peer
from keyhop.network.psk.generations import PskGenerations
from keyhop.node.config import load_config
from keyhop.node.node import Node
from keyhop.pki import create_authority
from keyhop.pki.psk import PSK_CIPHER, PskServerContext, psk_client_context
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys

pytestmark = pytest.mark.anyio

ALICE, BOB, ADAM = KmeId("alice"), KmeId("bob"), KmeId("adam")
A, B = SaeId("alicesae"), SaeId("bobsae")
PSK, ADAMS = bytes(range(32)), b"a" * 32

CONFIG = """
[node]
id = "{me}"
lab = true
data_dir = "{me}"
[tls]
ca = "pki/ca.pem"
certificate = "pki/nodes/{me}.pem"
key = "pki/nodes/{me}.key"
[etsi014]
listen = "127.0.0.1:{etsi014}"
[peers]
listen = "127.0.0.1:{listen}"
psk_refresh_s = 1
[[saes]]
id = "alicesae"
kme = "alice"
[[saes]]
id = "bobsae"
kme = "bob"
[[links]]
id = "alice-bob"
peer = "{peer}"
kind = "rate"
secret_file = "link.secret"
rate_bps = 1_000_000
block_bytes = 4096
[[kmes]]
id = "{peer}"
psk_file = "{me}.psk"
peer_address = "127.0.0.1:{psk}"
"""
BOB_ONLY = """
[[kmes]]
id = "adam"
psk_file = "adam.psk"
peer_address = "127.0.0.1:1"
"""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


class Site:
    """The files of alice and bob; adam has a key at bob as well."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        authority = create_authority(directory / "pki")
        for name in (ALICE, BOB):
            authority.issue_node(name, ["127.0.0.1"])
        etsi014, others_etsi014, alices, self.bobs_listen, self.bobs_psk_listen = free_ports(5)
        self.secret("link.secret", bytes(32))
        for name, psk in ((ALICE, PSK), (BOB, PSK), (ADAM, ADAMS)):
            self.secret(f"{name}.psk", psk)
        alice = CONFIG.format(me=ALICE, peer=BOB, etsi014=etsi014, listen=alices, psk=self.bobs_psk_listen)
        bob = CONFIG.format(me=BOB, peer=ALICE, etsi014=others_etsi014, listen=self.bobs_listen, psk=1) + BOB_ONLY
        bob = bob.replace("[peers]", f'[peers]\npsk_listen = "127.0.0.1:{self.bobs_psk_listen}"')
        for name, text in ((ALICE, alice), (BOB, bob)):
            (directory / f"{name}.toml").write_text(text)

    def secret(self, name: str, content: bytes) -> None:
        path = self.directory / name
        path.touch(0o600)
        path.write_text(content.hex())

    @asynccontextmanager
    async def running(self, *names: KmeId) -> AsyncIterator[list[Node]]:
        """These nodes, started."""
        async with AsyncExitStack() as stack:
            nodes = []
            for name in names:
                config = load_config(self.directory / f"{name}.toml")
                nodes.append(Node(config, SystemClock(), SystemEntropy(), lambda: None))
                await nodes[-1].start()
                stack.push_async_callback(nodes[-1].stop)
            yield nodes


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(connections_module, "HEARTBEAT_S", 0.2)
    return Site(tmp_path)


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110 - a node tells nobody
            await asyncio.sleep(0.02)


def peer(node: Node) -> Peer:
    return node.kme.peers[BOB if node.id == ALICE else ALICE]


def identity(me: KmeId, other: KmeId, psk: bytes) -> str:
    store = MemoryStore()
    return PskGenerations(me, other, KeyMaterial(psk), store, Journal(store, lambda: None)).identity(0)


async def call(port: int, context: ssl.SSLContext) -> ssl.SSLObject:
    """A handshake. Raises OSError."""
    async with asyncio.timeout(10):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.close()
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    return tls


async def s_client(port: int, *options: str | bytes) -> str:
    """What OpenSSL's own client says of a connection."""
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(10):
        output, _ = await process.communicate()
    return output.decode(errors="replace")


async def test_nodes_with_the_same_key_meet_and_no_certificate_is_spoken(site: Site) -> None:
    async with site.running(ALICE, BOB) as (alice, bob):
        await until(lambda: peer(alice).synchronised and peer(bob).synchronised)
        for node in (alice, bob):
            (connection,) = node._connections._open()
            assert connection._transport is not None
            tls = connection._transport.get_extra_info("ssl_object")
            assert tls.cipher()[0] == PSK_CIPHER
            assert tls.version() == "TLSv1.2"
            assert tls.getpeercert(binary_form=True) is None
            assert connection.proof is not None
            assert connection.proof.certificate is None
        with pytest.raises(ConnectionRefusedError):  # alice has no peer with a certificate, so nobody listens for one
            await call(int(alice.config.peers.listen.rpartition(":")[2]), ssl.create_default_context())


async def test_the_key_is_refreshed_while_saes_work(site: Site) -> None:
    async with site.running(ALICE, BOB) as (alice, bob):
        await until(lambda: not alice.desk.readiness().missing)
        since, asked = peer(alice).since, 0
        while generation(bob) < 3:
            got = await answer(partial(alice.kme.delivery.get_key, GetKey(A, B)))
            again = await answer(partial(bob.kme.delivery.get_key_with_ids, GetKeyWithIds(B, A, got.runs[0].ids)))
            assert got.runs[0].material == again.runs[0].material
            asked += 1
        assert asked > 10
        await until(lambda: generation(alice) >= 3)
        for node in (alice, bob):
            await until(partial(has_moved, node))
            psk = peer(node).psk
            assert psk is not None
            with pytest.raises(KeyError):
                psk.secret(0)
        assert peer(alice).since == since  # the session has not ended


def has_moved(node: Node) -> bool:
    return [connection.generation for connection in node._connections._open()] == [generation(node)]


def generation(node: Node) -> int:
    psk = peer(node).psk
    assert psk is not None
    return psk.in_use


async def test_a_generation_that_is_over_is_not_kept_alive_by_who_holds_up_handshakes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "OVERDUE_S", 0.5)
    async with site.running(ALICE, BOB) as (alice, bob):
        await until(lambda: peer(alice).synchronised and peer(bob).synchronised)
        for connections in (alice._connections, bob._connections):
            connections._addresses = dict.fromkeys((ALICE, BOB), PeerAddress("127.0.0.1", free_ports(1)[0]))
        await until(lambda: not peer(alice).connected and not peer(bob).connected)
        assert peer(alice).trouble


async def answer(ask: Callable[[Callable[[Keys | KeyhopError], None]], None]) -> Keys:
    answered = asyncio.get_running_loop().create_future()
    ask(answered.set_result)
    async with asyncio.timeout(10):
        got = await answered
    assert isinstance(got, Keys), got
    return got


async def test_a_restart_goes_on_with_the_latest_generation(site: Site) -> None:
    async with site.running(ALICE, BOB) as (_, bob):
        await until(lambda: generation(bob) >= 1)
    async with site.running(ALICE, BOB) as (alice, bob):
        await until(lambda: peer(alice).synchronised and peer(bob).synchronised)
        assert generation(alice) == generation(bob) >= 1


async def test_another_file_keeps_nodes_apart_and_both_say_why(site: Site) -> None:
    site.secret("bob.psk", b"o" * 32)
    async with site.running(ALICE, BOB) as (alice, bob):
        await until(lambda: "does not have the generation of the PSK" in str(peer(alice).trouble))
        assert "its psk_file is not the one that this node has" in str(peer(bob).trouble)
        (reason,) = [reason for reason in bob.desk.readiness().missing if "peer alice" in reason]
        assert "psk_file" in reason


async def test_a_new_file_at_both_begins_anew_whatever_was_before(site: Site) -> None:
    async with site.running(ALICE, BOB) as (_, bob):
        await until(lambda: generation(bob) >= 1)
    for name in (ALICE, BOB):
        site.secret(f"{name}.psk", b"n" * 32)
    async with site.running(ALICE, BOB) as (alice, bob):
        await until(lambda: peer(alice).synchronised and peer(bob).synchronised)


async def test_who_lacks_the_key_is_not_let_in(site: Site) -> None:
    async with site.running(BOB) as (bob,):
        name = identity(ALICE, BOB, PSK)
        right = psk_client_context(name, KeyMaterial(PSK))
        assert (await call(site.bobs_psk_listen, right)).cipher() == (PSK_CIPHER, "TLSv1.2", 256)
        for shown, psk, alert in (
            (name, b"x" * 32, "BAD_RECORD_MAC"),
            (name, ADAMS, "BAD_RECORD_MAC"),  # adam's own, with alice's name
            (identity(ADAM, BOB, ADAMS), PSK, "BAD_RECORD_MAC"),
            ("alice", PSK, "unknown psk identity"),
            (name.removesuffix("0") + "1", PSK, "unknown psk identity"),
        ):
            with pytest.raises(ssl.SSLError, match=alert):
                await call(site.bobs_psk_listen, psk_client_context(shown, KeyMaterial(psk)))
        assert not peer(bob).synchronised


@pytest.mark.parametrize("certificate", [False, True])
async def test_who_dials_is_not_taken_in_by_a_listener_without_the_key(site: Site, *, certificate: bool) -> None:
    async with site.running(BOB) as (bob,):
        wrong = PskServerContext(lambda _identity: KeyMaterial(b"x" * 32))
        tls = bob.credentials.etsi014 if certificate else wrong
        impostor = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=tls)
        async with impostor:
            right = psk_client_context(identity(ALICE, BOB, PSK), KeyMaterial(PSK))
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await call(impostor.sockets[0].getsockname()[1], right)


async def test_certificates_are_of_no_use_where_keys_are_spoken_nor_keys_elsewhere(site: Site) -> None:
    async with site.running(BOB) as (bob,):
        with pytest.raises(ssl.SSLError, match=r"HANDSHAKE_FAILURE|ALERT"):
            await call(site.bobs_psk_listen, bob.credentials.peers.client_tls)
        with pytest.raises(ConnectionRefusedError):
            await call(site.bobs_listen, psk_client_context(identity(ALICE, BOB, PSK), KeyMaterial(PSK)))


async def test_a_stranger_that_says_nothing_is_let_go(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "HANDSHAKE_S", 0.2)
    async with site.running(BOB), asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.bobs_psk_listen)
        assert await reader.read() == b""
        writer.close()


@pytest.mark.requires_tool("openssl")
async def test_openssl_finds_a_psk_cipher_and_no_public_key(site: Site) -> None:
    async with site.running(BOB):
        key = ("-psk_identity", identity(ALICE, BOB, PSK), "-psk", PSK.hex())
        output = await s_client(site.bobs_psk_listen, "-tls1_2", "-cipher", PSK_CIPHER, *key)
        assert f"Cipher is {PSK_CIPHER}" in output
        assert "no peer certificate available" in output
        assert "Temp Key" not in output  # which (EC)DHE would have
        for other in ("DHE-PSK-AES256-GCM-SHA384", "ECDHE-PSK-CHACHA20-POLY1305", "ECDHE-RSA-AES256-GCM-SHA384"):
            refused = await s_client(site.bobs_psk_listen, "-tls1_2", "-cipher", other, *key)
            assert "Cipher is (NONE)" in refused, other
        assert "Cipher is (NONE)" in await s_client(site.bobs_psk_listen, "-tls1_3", *key)


@pytest.mark.requires_tool("openssl")
async def test_no_session_is_resumed_past_the_key(site: Site) -> None:
    async with site.running(BOB):
        saved = str(site.directory / "session")
        key = ("-psk_identity", identity(ALICE, BOB, PSK), "-psk", PSK.hex(), "-tls1_2", "-cipher", PSK_CIPHER)
        assert "New, TLSv1.2" in await s_client(site.bobs_psk_listen, *key, "-sess_out", saved)
        assert "Reused" not in await s_client(site.bobs_psk_listen, *key, "-sess_in", saved)


@pytest.mark.requires_tool("openssl")
@pytest.mark.parametrize("shown", [b"\xff\xfe", b"x" * 128, b"%s%n{}", b"keyhop." + b"\xc3"])
async def test_a_strange_identity_is_nobody_s(site: Site, shown: bytes) -> None:
    async with site.running(BOB):
        output = await s_client(
            site.bobs_psk_listen, "-tls1_2", "-cipher", PSK_CIPHER, "-psk", PSK.hex(), "-psk_identity", shown
        )
        assert "Cipher is (NONE)" in output or "alert" in output
        right = psk_client_context(identity(ALICE, BOB, PSK), KeyMaterial(PSK))
        await call(site.bobs_psk_listen, right)
