"""The node's certificates and the revocation list, followed while the node runs.

Only a certificate that others will take for this node's is used. A server context is used for every new handshake,
so a renewed certificate or a newer list takes effect at once; whoever asks `refresh` also closes the open connections
whose certificate `has_ended`. The context for SAEs is used by another thread, so it is never changed: there is a new
one, which whoever asked `refresh` or `renew` takes over.
"""

import ssl
from dataclasses import replace

import structlog

from keyhop.core.clock import Clock
from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import KmeId
from keyhop.network.proof import Certificates
from keyhop.node.config import Etsi014Section, NodeConfig
from keyhop.node.expiry import Expiry
from keyhop.pki.contexts import TlsFiles, client_context, load_own_certificate, server_context
from keyhop.pki.leaves import read_leaf
from keyhop.pki.own_certificate import check_own_certificate
from keyhop.pki.revocations import PUBLISH_HINT, Revocations

_RENEW_HINT = "keyhop pki renew {}, where the authority lives; copy certificate and key here, then SIGHUP"

_log = structlog.get_logger(__name__)


class Credentials:
    """TLS contexts for the three uses of a node. Raises ConfigurationError when a file cannot be used."""

    def __init__(self, kme: KmeId, files: TlsFiles, etsi014: Etsi014Section, clock: Clock) -> None:
        self.files = files
        self._kme = kme
        self._section = etsi014
        self._clock = clock
        self._published = False
        self._certificate = Expiry("certificate of this node", self._checked_not_after(), _RENEW_HINT.format(kme))
        self.expiries = {"certificate": self._certificate}
        self._revocations = None
        if files.crl is not None:
            self._revocations = Revocations(files.ca, files.crl, clock=clock)
            self.expiries["crl"] = Expiry("revocation list", self._revocations.not_after, PUBLISH_HINT)
        self.etsi014 = self._new_etsi014()
        server, client = server_context(files, "1.3"), client_context(files, "1.3", check_hostname=False)
        self.peers = Certificates(server, client, self.has_ended)
        self._publish()

    def troubles(self) -> list[str]:
        """What has expired, as reasons for not being ready."""
        now_s = self._clock.wall()
        return [trouble for expiry in self.expiries.values() if (trouble := expiry.trouble(now_s))]

    def has_ended(self, der: bytes) -> bool:
        """Whether a peer's or SAE's certificate is on the list or has expired, which TLS asks at the handshake only."""
        if read_leaf(der).not_after <= self._clock.wall():
            return True
        return self._revocations is not None and self._revocations.is_revoked(der)

    def refresh(self) -> None:
        """Follows the revocation list, and warns of what expires.

        A broken list leaves the old one in force; the next call tries again.
        """
        if self._revocations is not None:
            self._follow(self._revocations)
        for expiry in self.expiries.values():
            expiry.tell(self._clock.wall())

    def renew(self) -> None:
        """Takes our certificate and key from their files again, for new handshakes.

        Raises ConfigurationError when they cannot be used; those in use stay.
        """
        not_after = self._checked_not_after()
        for context in (self.peers.server_tls, self.peers.client_tls):
            load_own_certificate(context, self.files)
        self.etsi014 = self._new_etsi014()
        self._certificate.not_after = not_after

    def _checked_not_after(self) -> float:
        own = check_own_certificate(self.files, self._kme, self._clock.wall())
        return own.not_valid_after_utc.timestamp()

    def _follow(self, revocations: Revocations) -> None:
        try:
            if revocations.reload():
                self._published = False
            if not self._published:
                self._publish()
                _log.info("revocation list renewed")
        except ConfigurationError as error:
            _log.error("revocation list not usable", reason=error.message, hint=error.hint)
        except OSError as error:  # contexts take a list from a temporary file
            _log.error("revocation list not in force for new handshakes", reason=error.strerror)
        self.expiries["crl"].not_after = revocations.not_after

    def _publish(self) -> None:
        if self._revocations is not None:
            for context in (self.peers.server_tls, self.peers.client_tls):
                self._revocations.refresh_context(context)
            self.etsi014 = self._new_etsi014()
        self._published = True

    def _new_etsi014(self) -> ssl.SSLContext:
        files = replace(self.files, crl=None)
        context = server_context(files, self._section.minimum_tls, tickets=self._section.session_tickets)
        context.sslobject_class = ssl.SSLObject  # that server sends alerts by itself
        if self._revocations is not None:
            self._revocations.refresh_context(context)
            context.sni_callback = None  # it is new, so it has no sessions from before this list
        return context


def credentials_of(config: NodeConfig, clock: Clock) -> Credentials:
    """Those that a configuration names."""
    tls = config.tls
    files = TlsFiles(tls.ca, tls.certificate, tls.key, tls.crl)
    return Credentials(config.node.id, files, config.etsi014, clock)
