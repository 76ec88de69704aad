"""The revocation list as a node sees it: only the authority's newest list counts."""

import os
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keyhop.core.clock import SystemClock
from keyhop.core.errors import ConfigurationError
from keyhop.pki import Authority, Revocations, TlsFiles, create_authority, server_context


class FutureClock(SystemClock):
    """Two years ahead: today's list has expired."""

    def wall(self) -> float:
        return time.time() + 2 * 365 * 86_400


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = create_authority(tmp_path / "pki")
    made.issue_sae("alicesae")
    return made


def opened(authority: Authority) -> Revocations:
    return Revocations(authority.directory / "ca.pem", authority.directory / "crl.pem")


def der(authority: Authority) -> bytes:
    pem = authority.files("sae", "alicesae")[0].read_bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def test_reload_finds_a_new_list_once(authority: Authority) -> None:
    revocations = opened(authority)
    assert not revocations.is_revoked(der(authority))
    assert not revocations.reload()
    authority.revoke("alicesae")
    assert revocations.reload()
    assert revocations.is_revoked(der(authority))
    assert not revocations.reload()


def test_a_touched_file_is_no_new_list(authority: Authority) -> None:
    revocations = opened(authority)
    os.utime(authority.directory / "crl.pem", ns=(1, 1))
    assert not revocations.reload()


@pytest.mark.parametrize("content", [b"", b"no PEM", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_a_broken_file_leaves_the_old_list_in_force(authority: Authority, content: bytes) -> None:
    authority.revoke("alicesae")
    revocations = opened(authority)
    path = authority.directory / "crl.pem"
    good = path.read_bytes()
    path.write_bytes(content)
    for _ in range(2):  # it goes on complaining until somebody mends it
        with pytest.raises(ConfigurationError, match="cannot use the revocation list"):
            revocations.reload()
    assert revocations.is_revoked(der(authority))
    path.write_bytes(good)
    assert not revocations.reload()


def test_a_missing_file_leaves_the_old_list_in_force(authority: Authority) -> None:
    revocations = opened(authority)
    (authority.directory / "crl.pem").unlink()
    with pytest.raises(ConfigurationError, match="No such file"):
        revocations.reload()


def test_an_older_list_is_refused(authority: Authority) -> None:
    path = authority.directory / "crl.pem"
    old = path.read_bytes()
    authority.revoke("alicesae")
    revocations = opened(authority)
    path.write_bytes(old)
    with pytest.raises(ConfigurationError, match="not newer"):
        revocations.reload()
    assert revocations.is_revoked(der(authority))


def test_a_list_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    create_authority(tmp_path / "other")
    (authority.directory / "crl.pem").write_bytes((tmp_path / "other" / "crl.pem").read_bytes())
    with pytest.raises(ConfigurationError, match="did not sign"):
        opened(authority)


def test_a_list_that_was_altered_is_refused(authority: Authority) -> None:
    authority.revoke("alicesae")
    path = authority.directory / "crl.pem"
    content = bytearray(x509.load_pem_x509_crl(path.read_bytes()).public_bytes(Encoding.DER))
    serial = int(authority.issued()[0].serial, 16).to_bytes(20)
    at = content.index(serial.lstrip(b"\0"))
    content[at + 3] ^= 1
    altered = x509.load_der_x509_crl(bytes(content))
    path.write_bytes(altered.public_bytes(Encoding.PEM))
    with pytest.raises(ConfigurationError, match="did not sign"):
        opened(authority)


def test_an_expired_list_is_refused(authority: Authority) -> None:
    with pytest.raises(ConfigurationError, match="expired on") as caught:
        Revocations(authority.directory / "ca.pem", authority.directory / "crl.pem", clock=FutureClock())
    assert "keyhop pki crl" in (caught.value.hint or "")


def test_a_list_that_is_published_again_is_newer_and_revokes_the_same(authority: Authority) -> None:
    authority.revoke("alicesae")
    revocations = opened(authority)
    fresh = authority.publish_again()
    assert revocations.reload()
    assert revocations.is_revoked(der(authority))
    assert fresh.next_update_utc is not None
    assert revocations.not_after == fresh.next_update_utc.timestamp()


def test_a_certificate_beside_the_list_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    stranger = create_authority(tmp_path / "other")
    path = authority.directory / "crl.pem"
    path.write_bytes(path.read_bytes() + stranger.certificate.public_bytes(Encoding.PEM))
    authority_files = authority.files("sae", "alicesae")
    context = server_context(TlsFiles(authority.directory / "ca.pem", *authority_files, path))
    trusted = [x509.load_der_x509_certificate(each) for each in context.get_ca_certs(binary_form=True)]
    assert trusted == [authority.certificate]


@pytest.mark.parametrize("broken", ["ca", "certificate", "key", "crl"])
def test_unusable_files_are_the_operators_fault(authority: Authority, broken: str) -> None:
    certificate, key = authority.files("sae", "alicesae")
    files = {
        "ca": authority.directory / "ca.pem",
        "certificate": certificate,
        "key": key,
        "crl": authority.directory / "crl.pem",
    }
    files[broken].write_text("no PEM")
    with pytest.raises(ConfigurationError) as caught:
        server_context(TlsFiles(**files))
    assert caught.value.hint


def test_an_unknown_tls_version(authority: Authority) -> None:
    files = TlsFiles(authority.directory / "ca.pem", *authority.files("sae", "alicesae"))
    with pytest.raises(ConfigurationError, match="unknown TLS version"):
        server_context(files, "1.1")


def test_only_forward_secret_authenticated_ciphers_are_offered(authority: Authority) -> None:
    files = TlsFiles(authority.directory / "ca.pem", *authority.files("sae", "alicesae"))
    context = server_context(files)
    assert all(
        cipher["protocol"] == "TLSv1.3" or (cipher["aead"] and cipher["kea"] == "kx-ecdhe")
        for cipher in context.get_ciphers()
    )
    assert context.num_tickets == 0
    assert context.verify_mode is ssl.CERT_REQUIRED
