"""What openssl s_client, the usual examiner of TLS servers, finds at the ETSI 014 address.

With TLS 1.3 a client has finished its handshake before the server looks at its certificate, so it learns of a refusal
only when it reads: each of these runs sends a request, and a refusal is an alert instead of an answer.
"""

import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from callers import Caller
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate

from keyhop.lab import Inventory, Lab
from keyhop.pki import create_authority
from keyhop.pki.profiles import Signer, leaf_certificate

pytestmark = pytest.mark.requires_tool("openssl")

DAY_S = 86_400
REQUEST = b"GET /api/v1/keys/alicesae/status HTTP/1.1\r\nHost: kme\r\nConnection: close\r\n\r\n"
# The client's own security level must not be what refuses.
ANYTHING = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
VERSIONS = ("-tls1_2", "-tls1_3")

ALERTS = {
    "handshake failure": 40,
    "certificate revoked": 44,
    "certificate expired": 45,
    "unknown ca": 48,
    "protocol version": 70,
    "certificate required": 116,
}


class Seen(NamedTuple):
    """What s_client printed."""

    out: str
    errors: str

    @property
    def served(self) -> bool:
        """Whether the request was answered."""
        return "HTTP/1.1 200 OK" in self.out

    def refused_with(self, alert: str) -> bool:
        """Whether the server refused with that alert (RFC 8446, section 6)."""
        return not self.served and f"SSL alert number {ALERTS[alert]}\n" in self.errors


@pytest.fixture
def bob(inventory: Inventory) -> Caller:
    return Caller.of(inventory, "bobsae")


def command(caller: Caller, *options: str, certificate: bool = True) -> list[str]:
    host, port = caller.address
    shown = ["-cert", caller.cert, "-key", caller.key] if certificate else []
    trust = ["-CAfile", caller.ca, "-verify_return_error"]
    return ["openssl", "s_client", "-connect", f"{host}:{port}", *trust, *shown, *options]


def s_client(caller: Caller, *options: str, certificate: bool = True) -> Seen:
    line = command(caller, "-ign_eof", *options, certificate=certificate)
    done = subprocess.run(line, input=REQUEST, capture_output=True, timeout=60, check=False)
    return Seen(done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


@pytest.mark.parametrize(("version", "name"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_tls_1_2_and_1_3_are_spoken_without_compression_or_tickets(bob: Caller, version: str, name: str) -> None:
    seen = s_client(bob, version)
    assert seen.served
    assert f"New, {name}, Cipher is " in seen.out
    assert "Verification: OK" in seen.out
    assert "Compression: NONE" in seen.out
    assert "Session Ticket" not in seen.out  # TLS 1.3: "Post-Handshake New Session Ticket arrived"
    assert "TLS session ticket" not in seen.out  # TLS 1.2


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_older_versions_are_refused(bob: Caller, version: str) -> None:
    assert s_client(bob, version, "-cipher", ANYTHING).refused_with("protocol version")


def test_renegotiation_is_refused(bob: Caller) -> None:
    """A line of R makes s_client ask for it; the refusal ends s_client, although its stdin stays open."""
    with subprocess.Popen(
        command(bob, "-tls1_2"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(b"R\n")
        process.stdin.flush()
        errors = process.stderr.read().decode()
    assert "RENEGOTIATING" in errors
    assert "no renegotiation" in errors


@pytest.mark.parametrize(
    "cipher",
    [
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-ECDSA-AES128-CCM8",
        "ECDHE-ECDSA-NULL-SHA",
        "AECDH-AES128-SHA",
        "AES256-GCM-SHA384",
        "DHE-RSA-AES256-GCM-SHA384",
    ],
)
def test_weak_ciphers_are_refused(bob: Caller, cipher: str) -> None:
    assert s_client(bob, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0").refused_with("handshake failure")


@pytest.mark.parametrize(
    "cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
)
def test_good_ciphers_are_spoken(bob: Caller, cipher: str) -> None:
    assert s_client(bob, "-tls1_2", "-cipher", cipher).served


@pytest.mark.parametrize(("version", "alert"), [("-tls1_2", "handshake failure"), ("-tls1_3", "certificate required")])
def test_no_certificate_no_answer(bob: Caller, version: str, alert: str) -> None:
    assert s_client(bob, version, certificate=False).refused_with(alert)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unknown_authority_is_refused(bob: Caller, tmp_path: Path, version: str) -> None:
    """Also when it has the name of ours."""
    stranger = create_authority(tmp_path)
    stranger.issue_sae("bobsae")
    certificate, key = stranger.files("sae", "bobsae")
    impostor = Caller(bob.url, bob.ca, str(certificate), str(key))
    seen = s_client(impostor, version)
    assert not seen.served
    assert "SSL alert number" in seen.errors


@pytest.mark.parametrize("version", VERSIONS)
def test_an_expired_certificate_is_refused(bob: Caller, two_sites: Lab, tmp_path: Path, version: str) -> None:
    """Signed by the lab's own authority, for a year that ended yesterday; the same one for today is served."""
    pki = two_sites.directory / "pki"
    authority_key = load_pem_private_key((pki / "ca.key").read_bytes(), password=None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    signer = Signer(load_pem_x509_certificate((pki / "ca.pem").read_bytes()), authority_key)

    def issued(now_s: float) -> Caller:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = leaf_certificate(signer, key, "bobsae", serves=False, alternatives=[], now_s=now_s, days=365)
        (tmp_path / "sae.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (tmp_path / "sae.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Caller(bob.url, bob.ca, str(tmp_path / "sae.pem"), str(tmp_path / "sae.key"))

    assert s_client(issued(time.time() - 366 * DAY_S), version).refused_with("certificate expired")
    assert s_client(issued(time.time()), version).served
