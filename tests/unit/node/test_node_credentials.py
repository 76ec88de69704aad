"""The certificates of others while the node runs: revoked or expired, each ends."""

import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keyhop.core.clock import SystemClock
from keyhop.node.credentials import Credentials
from keyhop.pki.authority import DAY_S, Authority, create_authority
from keyhop.pki.contexts import TlsFiles


class LaterClock(SystemClock):
    """The system's, some days ahead."""

    days = 0.0

    def wall(self) -> float:
        return super().wall() + self.days * DAY_S


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = create_authority(tmp_path / "pki")
    made.issue_node("alice", ["127.0.0.1"])
    made.issue_sae("alicesae", days=2)
    return made


@pytest.fixture
def clock() -> LaterClock:
    return LaterClock()


@pytest.fixture
def credentials(authority: Authority, clock: LaterClock) -> Credentials:
    certificate, key = authority.files("node", "alice")
    pki = authority.directory
    return Credentials(TlsFiles(pki / "ca.pem", certificate, key, pki / "crl.pem"), "1.2", clock)


def der_of(authority: Authority) -> bytes:
    pem = authority.files("sae", "alicesae")[0].read_bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def test_an_expired_certificate_has_ended(authority: Authority, clock: LaterClock, credentials: Credentials) -> None:
    der = der_of(authority)
    clock.days = 1.9
    before = credentials.has_ended(der)
    clock.days = 2.1
    assert (before, credentials.has_ended(der)) == (False, True)


def test_a_list_that_cannot_be_put_in_force_is_tried_again(
    authority: Authority, credentials: Credentials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Somebody filled /tmp: connections are ended all the same, and handshakes follow when there is room."""
    der = der_of(authority)
    before = credentials.etsi014.cert_store_stats()["crl"]
    authority.revoke("alicesae")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    credentials.refresh()
    assert credentials.has_ended(der)
    assert credentials.etsi014.cert_store_stats()["crl"] == before
    monkeypatch.undo()
    credentials.refresh()
    assert credentials.etsi014.cert_store_stats()["crl"] == before + 1
