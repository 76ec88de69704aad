"""What stands in each certificate and in the revocation list (RFC 5280).

Everything passes OpenSSL's X509_STRICT, which Python 3.13 turns on by default: critical basic constraints and key
usage at the authority, subject and authority key identifiers everywhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keyhop.pki.algorithms import PrivateKey, signing_hash

AUTHORITY_DAYS = 3650
LEAF_DAYS = 365
_SKEW = timedelta(minutes=5)  # clocks of other sites may be behind ours

_NO_USAGE = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


@dataclass(frozen=True, slots=True)
class Signer:
    """An authority's certificate and the key that belongs to it."""

    certificate: x509.Certificate
    key: PrivateKey

    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        """The extension that ties what this authority signs to its key (RFC 5280, 4.2.1.1)."""
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def authority_certificate(name: str, key: PrivateKey, now_s: float) -> x509.Certificate:
    """Self-signed, may sign leaves and revocation lists, no further authorities."""
    subject = _subject(name)
    builder = _builder(subject, subject, key, now_s, AUTHORITY_DAYS)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**_NO_USAGE | {"key_cert_sign": True, "crl_sign": True}), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return builder.sign(key, signing_hash(key))


def leaf_certificate(
    signer: Signer,
    key: PrivateKey,
    name: str,
    *,
    serves: bool,
    alternatives: Iterable[x509.GeneralName],
    now_s: float,
    days: int,
) -> x509.Certificate:
    """Subject CN `name`; TLS client, and TLS server too when it `serves`."""
    builder = _builder(_subject(name), signer.certificate.subject, key, now_s, days)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if serves else [])
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**_NO_USAGE | {"digital_signature": True}), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(signer.key_identifier(), critical=False)
    )
    if names := list(alternatives):
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer.key, signing_hash(signer.key))


def revocation_list(
    signer: Signer, revoked: Iterable[tuple[int, int]], *, number: int, this_update_s: int, next_update_s: int
) -> x509.CertificateRevocationList:
    """A CRL of `(serial, revoked at, in seconds since 1970)` pairs."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(_moment(this_update_s))
        .next_update(_moment(next_update_s))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(signer.key_identifier(), critical=False)
    )
    for serial, revoked_at_s in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_moment(revoked_at_s))
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(signer.key, signing_hash(signer.key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, now_s: float, days: int
) -> x509.CertificateBuilder:
    now = _moment(now_s)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
