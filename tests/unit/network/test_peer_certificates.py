"""Whose certificate makes a peer: a node's, with the name of a peer."""

import asyncio
import socket
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from keyhop.core.clock import SystemClock
from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.network.connection import PeerConnection
from keyhop.network.connections import Connections
from keyhop.network.pair import PairOptions
from keyhop.network.proof import Certificates, Proof
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
    certificates = Certificates(server, client, lambda der: False)
    return Connections(ALICE, kme.peers, {}, certificates, clock, SeededEntropy(2), lambda error: None)


def proof(connections: Connections, path: Path) -> Proof:
    return connections._certificates.proof(x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER))


def connection(connections: Connections, dialled: KmeId | None = None) -> PeerConnection:
    return PeerConnection(connections, connections._certificates.prove, dialled)


def test_a_node_s_certificate_is_admitted_by_its_name(authority: Authority, connections: Connections) -> None:
    authority.issue_node("bob", ["127.0.0.1"])
    shown = proof(connections, authority.files("node", "bob")[0])
    assert connections.admit(connection(connections), shown).peer.id == BOB


def test_a_node_s_certificate_is_not_for_another_peer_than_the_one_dialled(
    authority: Authority, connections: Connections
) -> None:
    authority.issue_node("bob", ["127.0.0.1"])
    shown = proof(connections, authority.files("node", "bob")[0])
    with pytest.raises(PeerError, match="names 'bob', not 'carol'"):
        connections.admit(connection(connections, KmeId("carol")), shown)


def test_a_certificate_that_cannot_be_read_is_nobody_s(authority: Authority, connections: Connections) -> None:
    issued = x509.load_pem_x509_certificate(authority.files("node", "alice")[0].read_bytes())
    edi_party_name = bytes.fromhex("3005a503a1010c")
    odd = (
        x509.CertificateBuilder(issued.issuer, issued.subject, issued.public_key(), 7)
        .not_valid_before(issued.not_valid_before_utc)
        .not_valid_after(issued.not_valid_after_utc)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), edi_party_name), critical=False)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    with pytest.raises(PeerError, match="cannot be read"):
        connections._certificates.proof(odd.public_bytes(Encoding.DER))


def test_an_sae_s_certificate_is_not_even_with_the_name_of_a_peer(
    authority: Authority, connections: Connections
) -> None:
    authority.issue_sae("bob")
    with pytest.raises(PeerError, match="SAE"):
        proof(connections, authority.files("sae", "bob")[0])


@pytest.mark.anyio
async def test_a_peer_that_does_not_let_us_in_is_not_connected_and_says_so(
    authority: Authority, connections: Connections
) -> None:
    authority.issue_node("bob", ["127.0.0.1"])
    carol = VirtualKme(BOB, (KmeId("carol"),), {}, SYSTEM, SeededEntropy(1), lambda *_: None, Policy(), PairOptions())
    files = TlsFiles(authority.directory / "ca.pem", *authority.files("node", "bob"))
    server, client = server_context(files, "1.3"), client_context(files, "1.3", check_hostname=False)
    certificates = Certificates(server, client, lambda der: False)
    stranger = Connections(BOB, carol.peers, {}, certificates, SYSTEM, SeededEntropy(3), lambda error: None)
    listener = socket.create_server(("127.0.0.1", 0))
    stranger.listen(listener)
    own = connections._certificates.client_tls
    loop = asyncio.get_running_loop()
    _, dialled = await loop.create_connection(lambda: connection(connections, BOB), *listener.getsockname(), ssl=own)
    async with asyncio.timeout(10):
        await dialled.ended.wait()
    await stranger.stop()
    assert not dialled.heard
    assert connections._peers[BOB].trouble == "did not let us in: closed"
