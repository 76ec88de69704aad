"""Who is at the other end of a connection, as the handshake has proved it: by certificate, or by pre-shared key."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.pki.leaves import UNREADABLE


class IsRevoked(Protocol):
    """Whether a certificate (DER) was revoked."""

    def __call__(self, der: bytes) -> bool: ...


class Proof(NamedTuple):
    """A peer's name, and either the certificate (DER) that it has shown or the generation of the key that it has."""

    name: KmeId
    certificate: bytes | None = None
    generation: int | None = None


type Prove = Callable[[ssl.SSLObject], Proof]
"""Raises PeerError for what makes no peer."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """How this node shows its own certificate, and which ones it takes for a node's."""

    server_tls: ssl.SSLContext
    client_tls: ssl.SSLContext
    is_revoked: IsRevoked

    def prove(self, connection: ssl.SSLObject) -> Proof:
        """By the certificate that the other end has shown, which the handshake has verified."""
        return self.proof(connection.getpeercert(binary_form=True) or b"")

    def proof(self, der: bytes) -> Proof:
        """Raises PeerError for a certificate that is no node's."""
        try:
            is_revoked, is_nodes, name = self.is_revoked(der), may_serve(der), common_name(der)
        except UNREADABLE:
            raise PeerError("its certificate cannot be read") from None
        if is_revoked:
            raise PeerError("its certificate is revoked")
        if not is_nodes:
            raise PeerError("its certificate is an SAE's: it may not be a server")
        if name is None:
            raise PeerError("its certificate names nobody")
        return Proof(KmeId(name), certificate=der)


def common_name(der: bytes) -> str | None:
    """The certificate's only subject CN, or None."""
    names = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else None


def may_serve(der: bytes) -> bool:
    """Whether the certificate may be a server's, as a node's may and an SAE's may not, whatever its name is."""
    try:
        usages = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return True  # for any usage (RFC 5280, 4.2.1.12)
    return ExtendedKeyUsageOID.SERVER_AUTH in usages.value
