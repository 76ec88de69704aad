"""The node's certificates and the revocation list, followed while the node runs.

A server context is used for every new handshake, so a renewed certificate or a newer list takes effect at once;
whoever asks `refresh` also closes the open connections whose certificate `has_ended`.
"""

import structlog

from keyhop.core.clock import Clock
from keyhop.core.errors import ConfigurationError
from keyhop.pki.contexts import TlsFiles, client_context, server_context
from keyhop.pki.leaves import read_leaf
from keyhop.pki.revocations import Revocations

_log = structlog.get_logger(__name__)


class Credentials:
    """TLS contexts for the three uses of a node. Raises ConfigurationError when a file cannot be used."""

    def __init__(self, files: TlsFiles, etsi014_minimum: str, clock: Clock) -> None:
        self.files = files
        self._clock = clock
        self._published = False
        self.etsi014 = server_context(files, etsi014_minimum)
        self.peer_server = server_context(files, "1.3")
        self.peer_client = client_context(files, "1.3", check_hostname=False)
        self._revocations = Revocations(files.ca, files.crl) if files.crl else None
        self._publish()

    def has_ended(self, der: bytes) -> bool:
        """Whether a peer's or SAE's certificate is on the list or has expired, which TLS asks at the handshake only."""
        if read_leaf(der).not_after <= self._clock.wall():
            return True
        return self._revocations is not None and self._revocations.is_revoked(der)

    def refresh(self) -> None:
        """Follows the revocation list. A broken list leaves the old one in force; the next call tries again."""
        if self._revocations is None:
            return
        try:
            if self._revocations.reload():
                self._published = False
            if not self._published:
                self._publish()
                _log.info("revocation list renewed")
        except ConfigurationError as error:
            _log.error("revocation list not usable", reason=error.message)
        except OSError as error:  # contexts take a list from a temporary file
            _log.error("revocation list not in force for new handshakes", reason=error.strerror)

    def renew(self) -> None:
        """Takes our certificate and key from their files again, for new handshakes."""
        for context in (self.etsi014, self.peer_server, self.peer_client):
            context.load_cert_chain(self.files.certificate, self.files.key)

    def _publish(self) -> None:
        if self._revocations is not None:
            for context in (self.etsi014, self.peer_server, self.peer_client):
                self._revocations.refresh_context(context)
        self._published = True
