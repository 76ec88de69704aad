"""Certificates while the node runs: those of others end, its own and the revocation list are watched."""

import tempfile
from pathlib import Path

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keyhop.core.clock import SystemClock
from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import KmeId
from keyhop.node.config import Etsi014Section
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
    return Credentials(
        KmeId("alice"), TlsFiles(pki / "ca.pem", certificate, key, pki / "crl.pem"), Etsi014Section(), clock
    )


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
    before, in_force = credentials.peers.server_tls.cert_store_stats()["crl"], credentials.etsi014
    authority.revoke("alicesae")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    credentials.refresh()
    assert credentials.has_ended(der)
    assert credentials.peers.server_tls.cert_store_stats()["crl"] == before
    assert credentials.etsi014 is in_force
    monkeypatch.undo()
    credentials.refresh()
    assert credentials.peers.server_tls.cert_store_stats()["crl"] == before + 1
    assert credentials.etsi014 is not in_force


def told(credentials: Credentials) -> list[str]:
    with structlog.testing.capture_logs() as events:
        credentials.refresh()
    return [f"{event['log_level']}: {event['event']}" for event in events]


def test_what_expires_is_told_twice_ahead_and_once_when_it_has(clock: LaterClock, credentials: Credentials) -> None:
    """The authority makes the node's certificate and the list for 365 days each."""
    soon = ["warning: certificate of this node expires soon", "warning: revocation list expires soon"]
    for days, expected in (
        (300, []),
        (336, soon),
        (337, []),
        (359, soon),
        (360, []),
        (366, ["error: certificate of this node expired", "error: revocation list expired"]),
        (367, []),
    ):
        clock.days = days
        assert told(credentials) == expected, days


def test_what_has_expired_keeps_the_node_from_being_ready(clock: LaterClock, credentials: Credentials) -> None:
    assert credentials.troubles() == []
    clock.days = 366
    certificate, crl = credentials.troubles()
    assert certificate.startswith("certificate of this node: expired on 2")
    assert crl.startswith("revocation list: expired on 2")


def test_a_fresh_list_ends_the_trouble(authority: Authority, clock: LaterClock, credentials: Credentials) -> None:
    clock.days = 364
    credentials.refresh()
    before = credentials.expiries["crl"].not_after
    Authority.load(authority.directory, clock=clock).publish_again()
    clock.days = 366
    assert told(credentials) == ["info: revocation list renewed", "error: certificate of this node expired"]
    assert credentials.expiries["crl"].not_after > before + 300 * DAY_S
    assert len(credentials.troubles()) == 1


def test_a_renewed_certificate_ends_the_trouble(
    authority: Authority, clock: LaterClock, credentials: Credentials
) -> None:
    clock.days = 364
    Authority.load(authority.directory, clock=clock).renew("alice")
    credentials.renew()
    clock.days = 366
    assert told(credentials) == ["info: revocation list renewed"]
    assert credentials.troubles() == []


def test_a_wrong_certificate_is_not_taken_over(authority: Authority, credentials: Credentials) -> None:
    before = credentials.expiries["certificate"].not_after
    authority.issue_node("bob", ["127.0.0.1"], days=10)
    for mine, other in zip(authority.files("node", "alice"), authority.files("node", "bob"), strict=True):
        mine.write_bytes(other.read_bytes())
    with pytest.raises(ConfigurationError, match=r"alice\.pem: its subject CN is 'bob', and this node is 'alice'"):
        credentials.renew()
    assert credentials.expiries["certificate"].not_after == before
