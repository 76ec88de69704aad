"""A node's own certificate: every fault names the one file that has it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from keyhop.core.errors import ConfigurationError
from keyhop.pki import Authority, TlsFiles, create_authority
from keyhop.pki.authority import DAY_S
from keyhop.pki.own_certificate import check_own_certificate


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = create_authority(tmp_path / "pki")
    made.issue_node("alice", ["127.0.0.1"], days=30)
    made.issue_node("bob", ["127.0.0.1"])
    made.issue_sae("alicesae")
    return made


def files_of(authority: Authority) -> TlsFiles:
    return TlsFiles(authority.directory / "ca.pem", *authority.files("node", "alice"))


def fault(authority: Authority, *, days: float = 0.0) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        check_own_certificate(files_of(authority), "alice", time.time() + days * DAY_S)
    assert caught.value.hint
    return caught.value


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def encrypted(key: bytes) -> bytes:
    return load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )


def other_authority(authority: Authority) -> Authority:
    return create_authority(authority.directory.parent / "other")


def resigned(authority: Authority) -> bytes:
    """Alice's certificate, by somebody who calls himself the authority."""
    old = x509.load_pem_x509_certificate(files_of(authority).certificate.read_bytes())
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, old.public_key(), 1, old.not_valid_before_utc, old.not_valid_after_utc
    )
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256()).public_bytes(Encoding.PEM)


def test_the_nodes_own_certificate_is_taken(authority: Authority) -> None:
    own = check_own_certificate(files_of(authority), "alice", time.time())
    assert int(authority.issued()[0].serial, 16) == own.serial_number


def test_one_of_several_authorities_is_enough(authority: Authority) -> None:
    ca = files_of(authority).ca
    put(ca, (other_authority(authority).directory / "ca.pem").read_bytes() + ca.read_bytes())
    assert check_own_certificate(files_of(authority), "alice", time.time())


FAULTS: list[tuple[str, Callable[[Authority, TlsFiles], object], str]] = [
    ("certificate", lambda a, f: put(f.certificate, a.files("node", "bob")[0].read_bytes()), "CN is 'bob'"),
    ("certificate", lambda a, f: put(f.certificate, b"no PEM"), "no PEM certificate"),
    ("certificate", lambda a, f: f.certificate.unlink(), "No such file"),
    ("certificate", lambda a, f: put(f.certificate, resigned(a)), "no authority in"),
    ("certificate", lambda a, f: put(f.ca, (other_authority(a).directory / "ca.pem").read_bytes()), "no authority in"),
    ("key", lambda a, f: put(f.key, a.files("node", "bob")[1].read_bytes()), "does not belong to the certificate"),
    ("key", lambda a, f: put(f.key, encrypted(f.key.read_bytes())), "encrypted"),
    ("key", lambda a, f: put(f.key, b"no PEM"), "no PEM private key"),
    ("key", lambda a, f: f.key.unlink(), "No such file"),
    ("key", lambda a, f: f.key.chmod(0o640), "mode 0640"),
    ("ca", lambda a, f: put(f.ca, b"x" * (1 << 21)), "more than"),
    ("ca", lambda a, f: f.ca.unlink(), "No such file"),
]


@pytest.mark.parametrize(("at_fault", "hurt", "why"), FAULTS)
def test_a_fault_names_its_file(
    authority: Authority, at_fault: str, hurt: Callable[[Authority, TlsFiles], object], why: str
) -> None:
    files = files_of(authority)
    hurt(authority, files)
    error = fault(authority)
    assert error.message.startswith(f"[tls] {at_fault} {getattr(files, at_fault)}: ")
    assert why in error.message


def test_the_hint_for_an_open_key_is_the_command(authority: Authority) -> None:
    key = files_of(authority).key
    key.chmod(0o604)
    assert fault(authority).hint == f"chmod 600 {key}"


def test_validity(authority: Authority) -> None:
    assert "it expired on" in fault(authority, days=31).message
    assert "keyhop pki renew alice" in (fault(authority, days=31).hint or "")
    assert "is valid from" in fault(authority, days=-1).message


def test_an_expired_authority_is_the_authoritys_fault(authority: Authority) -> None:
    authority.renew("alice", days=3650 + 10)
    assert fault(authority, days=3650 + 5).message.startswith(f"[tls] ca {files_of(authority).ca}: it expired on")


def test_an_saes_certificate_makes_no_node(authority: Authority) -> None:
    certificate, key = authority.files("sae", "alicesae")
    files = TlsFiles(authority.directory / "ca.pem", certificate, key)
    with pytest.raises(ConfigurationError, match="does not allow it to be a TLS server"):
        check_own_certificate(files, "alicesae", time.time())
