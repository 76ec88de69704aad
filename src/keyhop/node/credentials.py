"""The node's certificates and the revocation list, followed while the node runs.

A server context is used for every new handshake, so a renewed certificate or a newer list takes effect at once;
open connections whose certificate was revoked are closed by whoever asks `refresh`.
"""

import structlog

from keyhop.core.errors import ConfigurationError
from keyhop.pki.contexts import TlsFiles, client_context, server_context
from keyhop.pki.revocations import Revocations

_log = structlog.get_logger(__name__)


class Credentials:
    """TLS contexts for the three uses of a node. Raises ConfigurationError when a file cannot be used."""

    def __init__(self, files: TlsFiles, etsi014_minimum: str) -> None:
        self.files = files
        self.etsi014 = server_context(files, etsi014_minimum)
        self.peer_server = server_context(files, "1.3")
        self.peer_client = client_context(files, "1.3", check_hostname=False)
        self._revocations = Revocations(files.ca, files.crl) if files.crl else None
        self._publish()

    def is_revoked(self, der: bytes) -> bool:
        """Whether a peer's or SAE's certificate is on the list."""
        return self._revocations is not None and self._revocations.is_revoked(der)

    def refresh(self) -> bool:
        """Follows the revocation list; True when there is a newer one. A broken list leaves the old one in force."""
        if self._revocations is None:
            return False
        try:
            if not self._revocations.reload():
                return False
        except ConfigurationError as error:
            _log.error("revocation list not usable", reason=error.message)
            return False
        self._publish()
        _log.info("revocation list renewed")
        return True

    def renew(self) -> None:
        """Takes our certificate and key from their files again, for new handshakes."""
        for context in (self.etsi014, self.peer_server, self.peer_client):
            context.load_cert_chain(self.files.certificate, self.files.key)

    def _publish(self) -> None:
        if self._revocations is not None:
            for context in (self.etsi014, self.peer_server, self.peer_client):
                self._revocations.refresh_context(context)
