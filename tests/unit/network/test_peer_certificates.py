"""Whose certificate makes a peer: a node's, with the name of a peer."""

import asyncio
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keyhop.core.clock import SystemClock
from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.lab.ports import free_ports
from keyhop.network.connections import Connections, PeerConnection
from keyhop.network.pair import PairOptions
from keyhop.pki import Authority, TlsFiles, client_context, create_authority, server_context
from keyhop.service.policy import Policy
from keyhop.testing.kme import VirtualKme
from keyhop.testing.virtual import SeededEntropy, VirtualClock

ALICE, BOB = KmeId("alice"), KmeId("bob")
SYSTEM = SystemClock()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = create_authority(tmp_path / "pki")
    made.issue_node("alice", ["127.0.0.1"])
    return made


@pytest.fixture
def connections(authority: Authority) -> Connections:
    clock = VirtualClock()
    kme = VirtualKme(ALICE, (BOB,), {}, clock, SeededEntropy(0), lambda *_: None, Policy(), PairOptions())
    files = TlsFiles(authority.directory / "ca.pem", *authority.files("node", "alice"))
    server, client = server_context(files, "1.3"), client_context(files, "1.3", check_hostname=False)
    return Connections(ALICE, kme.peers, {}, server, client, lambda der: False, clock, lambda error: None)


def connection_with(connections: Connections, path: Path) -> PeerConnection:
    connection = PeerConnection(connections, None)
    connection.certificate = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
    return connection


def test_a_node_s_certificate_is_admitted_by_its_name(authority: Authority, connections: Connections) -> None:
    authority.issue_node("bob", ["127.0.0.1"])
    connection = connection_with(connections, authority.files("node", "bob")[0])
    assert connections.admit(connection, None).id == BOB


def test_an_sae_s_certificate_is_not_even_with_the_name_of_a_peer(
    authority: Authority, connections: Connections
) -> None:
    authority.issue_sae("bob")
    connection = connection_with(connections, authority.files("sae", "bob")[0])
    with pytest.raises(PeerError, match="SAE"):
        connections.admit(connection, None)


@pytest.mark.anyio
async def test_a_peer_that_does_not_let_us_in_is_not_connected_and_says_so(
    authority: Authority, connections: Connections
) -> None:
    authority.issue_node("bob", ["127.0.0.1"])
    carol = VirtualKme(BOB, (KmeId("carol"),), {}, SYSTEM, SeededEntropy(1), lambda *_: None, Policy(), PairOptions())
    files = TlsFiles(authority.directory / "ca.pem", *authority.files("node", "bob"))
    server, client = server_context(files, "1.3"), client_context(files, "1.3", check_hostname=False)
    stranger = Connections(BOB, carol.peers, {}, server, client, lambda der: False, SYSTEM, lambda error: None)
    port = free_ports(1)[0]
    await stranger.start("127.0.0.1", port)
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: PeerConnection(connections, BOB), "127.0.0.1", port, ssl=connections._client_tls
    )
    async with asyncio.timeout(10):
        await connection.ended.wait()
    await stranger.stop()
    assert not connection.heard
    assert connections._peers[BOB].trouble == "did not let us in: closed"
