"""An authority in a directory: what it issues, renews, revokes and refuses."""

import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from keyhop.core.errors import ConfigurationError
from keyhop.pki import Algorithm, Authority, create_authority


class FixedClock:
    """A clock that stands still until told otherwise."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def wall(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def crl(directory: Path) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl((directory / "crl.pem").read_bytes())


def test_a_node_certificate_serves_and_calls_under_its_hosts(tmp_path: Path) -> None:
    create_authority(tmp_path).issue_node("alice", ["127.0.0.1", "::1", "kme.example"])
    found = certificate(tmp_path / "nodes" / "alice.pem")
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert found.subject.rfc4514_string() == "CN=alice"
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert names.get_values_for_type(x509.DNSName) == ["kme.example"]
    assert set(usage) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}


def test_an_sae_certificate_only_calls_and_may_carry_a_uri(tmp_path: Path) -> None:
    create_authority(tmp_path).issue_sae("alicesae", "urn:example:sae:1")
    found = certificate(tmp_path / "saes" / "alicesae.pem")
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:example:sae:1"]
    assert set(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.CLIENT_AUTH
    }


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    authority = create_authority(tmp_path)
    authority.issue_node("alice", ["localhost"])
    authority.issue_sae("alicesae")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*.key")}
    assert modes == {"ca.key": 0o600, "alice.key": 0o600, "alicesae.key": 0o600}


def test_no_partial_file_stays_behind(tmp_path: Path) -> None:
    create_authority(tmp_path).issue_sae("alicesae")
    assert not list(tmp_path.rglob(".*"))


def test_renewal_keeps_the_holder_and_changes_the_key(tmp_path: Path) -> None:
    authority = create_authority(tmp_path)
    authority.issue_node("alice", ["kme.example"])
    pem, key = authority.files("node", "alice")
    before, key_before = certificate(pem), key.read_bytes()
    authority.renew("alice")
    after = certificate(pem)
    assert after.subject == before.subject
    assert after.public_key() != before.public_key()
    assert key.read_bytes() != key_before
    assert after.extensions.get_extension_for_class(x509.SubjectAlternativeName) == (
        before.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    )


def test_revoking_a_renewed_name_revokes_both_certificates(tmp_path: Path) -> None:
    authority = create_authority(tmp_path)
    serials = {int(authority.issue_sae("alicesae").serial, 16), int(authority.renew("alicesae").serial, 16)}
    authority.revoke("alicesae")
    assert {entry.serial_number for entry in crl(tmp_path)} == serials
    assert authority.revoke("alicesae") == []


def test_a_revocation_that_was_cut_short_is_published_when_it_is_asked_for_again(tmp_path: Path) -> None:
    """The register had it, and the list did not."""
    authority = create_authority(tmp_path)
    serial = int(authority.issue_sae("alicesae").serial, 16)
    (tmp_path / "crl.pem").rename(tmp_path / "before.pem")
    (tmp_path / "crl.pem").mkdir()  # in place of which no file can be put
    with pytest.raises(IsADirectoryError):
        authority.revoke("alicesae")
    (tmp_path / "crl.pem").rmdir()
    (tmp_path / "before.pem").rename(tmp_path / "crl.pem")
    assert [entry.serial_number for entry in crl(tmp_path)] == []
    assert authority.revoke("alicesae") == []
    assert [entry.serial_number for entry in crl(tmp_path)] == [serial]


def test_lists_of_one_second_have_increasing_dates_that_are_not_in_the_future(tmp_path: Path) -> None:
    clock = FixedClock(1_800_000_000)
    authority = create_authority(tmp_path, clock=clock)
    lists = [crl(tmp_path)]
    for number in range(5):
        authority.issue_sae(f"sae{number}")
        authority.revoke(f"sae{number}")
        lists.append(crl(tmp_path))
    dates = [each.last_update_utc for each in lists]
    assert dates == sorted(set(dates))
    assert dates[-1].timestamp() < clock.now_s
    clock.now_s -= 7 * 86_400  # a clock that was set back must not make an older list
    authority.issue_sae("late")
    assert crl(tmp_path).last_update_utc > dates[-1]


def test_a_list_outlives_every_certificate_issued_so_far(tmp_path: Path) -> None:
    clock = FixedClock(1_800_000_000)
    authority = create_authority(tmp_path, clock=clock)
    clock.now_s += 300 * 86_400
    issued = authority.issue_sae("alicesae")
    next_update = crl(tmp_path).next_update_utc
    assert next_update is not None
    assert next_update.timestamp() >= issued.not_after


def test_the_state_survives_in_the_directory(tmp_path: Path) -> None:
    create_authority(tmp_path).issue_sae("alicesae")
    again = Authority.load(tmp_path)
    again.revoke("alicesae")
    assert [(i.name, i.state(0)) for i in Authority.load(tmp_path).issued()] == [("alicesae", "revoked")]


def test_changes_at_the_same_time_do_not_lose_each_other(tmp_path: Path) -> None:
    create_authority(tmp_path)

    def issue(number: int) -> None:
        Authority.load(tmp_path).issue_sae(f"sae{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(issue, range(16)))
    assert {i.name for i in Authority.load(tmp_path).issued()} == {f"sae{number}" for number in range(16)}


def test_an_sae_never_gets_the_name_of_a_node(tmp_path: Path) -> None:
    authority = create_authority(tmp_path)
    authority.issue_node("alice", ["localhost"])
    authority.revoke("alice")
    with pytest.raises(ConfigurationError, match="name of a node"):
        authority.issue_sae("alice")


def test_a_name_in_use_is_refused_until_its_files_are_gone(tmp_path: Path) -> None:
    authority = create_authority(tmp_path)
    first = authority.issue_sae("alicesae")
    with pytest.raises(ConfigurationError, match="valid certificate already"):
        authority.issue_sae("alicesae")
    for path in authority.files("sae", "alicesae"):
        path.unlink()
    assert authority.issue_sae("alicesae").serial != first.serial


def test_a_revoked_name_is_not_renewed_but_may_be_issued_again(tmp_path: Path) -> None:
    authority = create_authority(tmp_path)
    authority.issue_sae("alicesae")
    authority.revoke("alicesae")
    with pytest.raises(ConfigurationError, match="revoked"):
        authority.renew("alicesae")
    assert authority.state(authority.issue_sae("alicesae")) == "valid"


@pytest.mark.parametrize("name", ["", "a b", "../alice", "a/b", "a\\b", ".hidden", "a" * 65, "é" * 33, "\udc80", "a\n"])
def test_names_that_fit_no_certificate_or_file(tmp_path: Path, name: str) -> None:
    authority = create_authority(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be the name"):
        authority.issue_sae(name)


@pytest.mark.parametrize("host", ["", "https://kme.example", "kme.example:443", "a..b", "-a", "a" * 64, "300.1.1.1/24"])
def test_hosts_that_are_no_hosts(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigurationError, match="neither a DNS name"):
        create_authority(tmp_path).issue_node("alice", [host])


@pytest.mark.parametrize("uri", ["", "alicesae", "urn:é", "urn:a b", "http://[", "urn:" + "a" * 255])
def test_uris_that_are_no_uris(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a URI"):
        create_authority(tmp_path).issue_sae("alicesae", uri)


def test_a_node_without_hosts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least one host"):
        create_authority(tmp_path).issue_node("alice", [])


@pytest.mark.parametrize("change", ["renew", "revoke"])
def test_unknown_names(tmp_path: Path, change: str) -> None:
    with pytest.raises(ConfigurationError, match="never issued"):
        getattr(create_authority(tmp_path), change)("nobody")


def test_an_authority_is_not_overwritten(tmp_path: Path) -> None:
    create_authority(tmp_path)
    key = (tmp_path / "ca.key").read_bytes()
    with pytest.raises(ConfigurationError, match="already"):
        create_authority(tmp_path)
    assert (tmp_path / "ca.key").read_bytes() == key


@pytest.mark.parametrize("file", ["ca.pem", "ca.key"])
def test_a_damaged_authority_says_so(tmp_path: Path, file: str) -> None:
    create_authority(tmp_path)
    (tmp_path / file).write_text("no PEM")
    with pytest.raises(ConfigurationError, match="cannot load the authority"):
        Authority.load(tmp_path)


def test_a_foreign_key_is_noticed(tmp_path: Path) -> None:
    create_authority(tmp_path / "one")
    create_authority(tmp_path / "two")
    (tmp_path / "one" / "ca.key").write_bytes((tmp_path / "two" / "ca.key").read_bytes())
    with pytest.raises(ConfigurationError, match="do not belong together"):
        Authority.load(tmp_path / "one")


def test_a_damaged_register_says_so(tmp_path: Path) -> None:
    authority = create_authority(tmp_path)
    (tmp_path / "issued.json").write_text('{"certificates": 1}')
    with pytest.raises(ConfigurationError, match="register"):
        authority.issue_sae("alicesae")


def test_ml_dsa_where_the_tls_stack_takes_it(tmp_path: Path) -> None:
    if ssl.OPENSSL_VERSION_INFO < (3, 5):
        with pytest.raises(ConfigurationError, match="does not take ML-DSA-65"):
            create_authority(tmp_path, algorithm=Algorithm.ML_DSA_65)
        assert not list(tmp_path.iterdir())
        return
    create_authority(tmp_path, algorithm=Algorithm.ML_DSA_65)
    Authority.load(tmp_path).issue_sae("alicesae")
    found = certificate(tmp_path / "saes" / "alicesae.pem")
    assert found.signature_algorithm_oid.dotted_string == "2.16.840.1.101.3.4.3.18"
