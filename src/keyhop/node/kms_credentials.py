"""What a gateway's node shows to KMSs of other domains, and how it knows them.

Each of them has an authority of its own. The server takes certificates of all these authorities; which KMS a client is,
both its subject CN and its authority have to say. Less strict than between our own nodes, as `link.vendors.tls` is,
because authorities of other vendors often leave out extensions that RFC 5280 wants.
"""

import ssl
from dataclasses import dataclass

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from keyhop.core.clock import Clock
from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import KmeId
from keyhop.node.config import NodeConfig
from keyhop.node.config.gateways import GatewaySection
from keyhop.pki.contexts import TlsFiles, client_context, load_own_certificate, server_context
from keyhop.pki.leaves import read_leaf
from keyhop.pki.revocations import Revocations

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Known:
    """One other KMS."""

    section: GatewaySection
    files: TlsFiles
    authorities: frozenset[bytes]
    client: ssl.SSLContext
    revocations: Revocations | None


class KmsCredentials:
    """Of a node that has gateways. Raises ConfigurationError when a file cannot be used."""

    def __init__(self, config: NodeConfig, clock: Clock) -> None:
        self._clock = clock
        own = config.etsi020
        certificate, key = own.certificate or config.tls.certificate, own.key or config.tls.key
        self._known: dict[KmeId, _Known] = {}
        for section in config.gateways:
            files = TlsFiles(section.ca, certificate, key, section.crl)
            revocations = Revocations(section.ca, section.crl, clock=clock) if section.crl else None
            self._known[section.id] = _Known(section, files, _authorities(section), _client(files), revocations)
        first = next(iter(self._known.values()))
        self.server = _lenient(server_context(TlsFiles(first.section.ca, certificate, key), "1.3"))
        for known in self._known.values():
            self.server.load_verify_locations(cafile=known.section.ca)

    def client(self, kms: KmeId) -> ssl.SSLContext:
        """For calls to that KMS."""
        return self._known[kms].client

    def identify(self, chain: tuple[bytes, ...]) -> KmeId | None:
        """The KMS whose certificate this is (DER, verified, with its authorities), unless it is revoked or expired."""
        if not chain:
            return None
        name, authorities = _common_name(chain[0]), set(chain[1:])
        for kms, known in self._known.items():
            if name == (known.section.subject_cn or kms) and authorities & known.authorities:
                return None if self._has_ended(known, chain[0]) else kms
        return None

    def refresh(self) -> None:
        """Follows the revocation lists; a broken one leaves the old one in force."""
        for kms, known in self._known.items():
            if known.revocations is None:
                continue
            try:
                if known.revocations.reload():
                    known.revocations.refresh_context(known.client)
            except (ConfigurationError, OSError) as error:
                _log.error("revocation list of another KMS not usable", kms=kms, reason=str(error))

    def renew(self) -> None:
        """Takes our certificate and key from their files again, for new handshakes. Raises ConfigurationError."""
        for known in self._known.values():
            load_own_certificate(known.client, known.files)
            load_own_certificate(self.server, known.files)

    def _has_ended(self, known: _Known, der: bytes) -> bool:
        if read_leaf(der).not_after <= self._clock.wall():
            return True
        return known.revocations is not None and known.revocations.is_revoked(der)


def _client(files: TlsFiles) -> ssl.SSLContext:
    return _lenient(client_context(files, "1.3"))


def _lenient(context: ssl.SSLContext) -> ssl.SSLContext:
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _authorities(section: GatewaySection) -> frozenset[bytes]:
    try:
        found = x509.load_pem_x509_certificates(section.ca.read_bytes())
    except (OSError, ValueError) as failure:
        raise ConfigurationError(
            f"[[gateways]] {section.id}: cannot use ca {section.ca}: {failure}", hint="give a PEM file"
        ) from None
    return frozenset(certificate.public_bytes(Encoding.DER) for certificate in found)


def _common_name(der: bytes) -> str | None:
    try:
        names = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return None
    return str(names[0].value) if len(names) == 1 else None
