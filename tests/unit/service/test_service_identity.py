"""Certificates become SAEs by exact marks only."""

import datetime
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import KmeId, SaeId
from keyhop.service.identity import SaeDirectory, SaeEntry

A, B, KME = SaeId("alicesae"), SaeId("bobsae"), KmeId("alice")
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(
    *names: str, uris: tuple[str, ...] = (), serial: int = 1, san: x509.ExtensionType | None = None
) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    if uris:
        san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
    if san is not None:
        builder = builder.add_extension(san, critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_the_common_name_is_the_default_mark() -> None:
    directory = SaeDirectory((SaeEntry(A, KME), SaeEntry(B, KmeId("bob"), subject_cn="Bob's encryptor")))
    assert directory.identify(certificate("alicesae")) == A
    assert directory.identify(certificate("Bob's encryptor")) == B
    for name in ("bobsae", "Alicesae", "alicesae ", "alicesa", "x"):
        assert directory.identify(certificate(name)) is None
    assert directory.identify(certificate("x", uris=("alicesae",))) is None


def test_san_uri() -> None:
    directory = SaeDirectory((SaeEntry(A, KME, san_uri="urn:sae:alice"), SaeEntry(B, KME)))
    assert directory.identify(certificate("x", uris=("urn:other", "urn:sae:alice"))) == A
    assert directory.identify(certificate("alicesae")) is None
    assert directory.identify(certificate("urn:sae:alice", uris=("urn:sae:alice/",))) is None


@pytest.mark.parametrize("colons", [True, False])
def test_fingerprint(colons: bool) -> None:
    der = certificate("x")
    digest = hashlib.sha256(der)
    text = digest.digest().hex(":").upper() if colons else digest.hexdigest()
    directory = SaeDirectory((SaeEntry(A, KME, fingerprint_sha256=text),))
    assert directory.identify(der) == A
    assert directory.identify(certificate("x", serial=2)) is None
    assert directory.identify(certificate("alicesae")) is None


def test_by_common_name_alone_only_those_are_found_that_are_known_by_it() -> None:
    directory = SaeDirectory(
        (
            SaeEntry(SaeId("alicesae"), KmeId("a")),
            SaeEntry(SaeId("bobsae"), KmeId("a"), subject_cn="bob.example"),
            SaeEntry(SaeId("carolsae"), KmeId("a"), san_uri="urn:sae:carolsae"),
            SaeEntry(SaeId("davesae"), KmeId("a"), fingerprint_sha256="ab" * 32),
        )
    )
    names = ("alicesae", "bob.example", "bobsae", "carolsae", "urn:sae:carolsae", "davesae", "ab" * 32, "")
    found = [directory.identify_common_name(name) for name in names]
    assert found == ["alicesae", "bobsae", None, None, None, None, None, None]


def test_a_certificate_that_could_be_two_saes_is_nobody() -> None:
    directory = SaeDirectory((SaeEntry(A, KME), SaeEntry(B, KME, san_uri="urn:sae:bob")))
    assert directory.identify(certificate("alicesae", uris=("urn:sae:bob",))) is None
    assert directory.identify(certificate("alicesae", "bobsae")) is None
    assert directory.identify(certificate("alicesae", "alicesae")) is None


@pytest.mark.parametrize("name", ["a503a1010c", "a300"])
def test_a_certificate_whose_other_names_cannot_be_read_is_nobody(name: str) -> None:
    """An EDIPartyName, or an x400Address: it might be somebody else by what stands beside it."""
    content = bytes.fromhex(name)
    san = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30%c%b" % (len(content), content))
    assert SaeDirectory((SaeEntry(A, KME),)).identify(certificate("alicesae", san=san)) is None


@pytest.mark.parametrize("der", [b"", b"\x30", b"nonsense" * 100])
def test_what_is_no_certificate_is_nobody(der: bytes) -> None:
    assert SaeDirectory((SaeEntry(A, KME),)).identify(der) is None


def test_kme_of() -> None:
    directory = SaeDirectory((SaeEntry(A, KME),))
    assert (directory.kme_of(A), directory.kme_of(B)) == (KME, None)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((SaeEntry(A, KME), SaeEntry(A, KME, san_uri="urn:x")), "alicesae is configured twice"),
        ((SaeEntry(A, KME), SaeEntry(B, KME, subject_cn="alicesae")), "same subject_cn 'alicesae'"),
        ((SaeEntry(A, KME, san_uri="urn:x"), SaeEntry(B, KME, san_uri="urn:x")), "same san_uri"),
        (
            (SaeEntry(A, KME, fingerprint_sha256="AA:" * 31 + "AA"), SaeEntry(B, KME, fingerprint_sha256="aa" * 32)),
            "same fingerprint_sha256",
        ),
        ((SaeEntry(A, KME, subject_cn="a", san_uri="urn:x"),), "subject_cn and san_uri"),
        ((SaeEntry(A, KME, fingerprint_sha256="aa" * 31),), "not a SHA-256 fingerprint"),
        ((SaeEntry(A, KME, fingerprint_sha256="zz" * 32),), "not a SHA-256 fingerprint"),
    ],
)
def test_ambiguous_configurations(entries: tuple[SaeEntry, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SaeDirectory(entries)
