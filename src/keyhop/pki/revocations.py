"""The revocation list as a running node sees it.

A node calls `reload` every few seconds and at SIGHUP. When it returns True, the node calls `refresh_context` on its
contexts, for new handshakes, and closes every open connection whose peer `is_revoked`. It asks `is_revoked` of each
new connection too, for the handshakes that were under way at that moment.
"""

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keyhop.core.clock import Clock, SystemClock
from keyhop.core.errors import ConfigurationError
from keyhop.pki.leaves import read_leaf

MAX_CRL_BYTES = 16 * 1024 * 1024

PUBLISH_HINT = (
    "publish a fresh one with `keyhop pki crl --dir DIR`, where the authority lives, and copy its crl.pem here"
)
_ORIGIN_HINT = "it is the crl.pem that `keyhop pki` writes next to the authority's ca.pem"

_Seen = tuple[int, int, int]


class Revocations:
    """One authority's list. Raises `ConfigurationError` when it cannot be trusted at the start."""

    def __init__(self, ca: Path, crl: Path, *, clock: Clock | None = None) -> None:
        self._path = crl
        self._clock = clock or SystemClock()
        self._authority = _load_authority(ca)
        self._seen = _seen(crl)
        self._list = self._read()
        self._serials = frozenset(entry.serial_number for entry in self._list)

    def reload(self) -> bool:
        """Read the file again if it changed on disk; True when there is a newer list.

        Raises `ConfigurationError` when the file is broken, not the authority's, expired or older than the list
        that we have; that list stays in force, and the next call tries again.
        """
        seen = _seen(self._path)
        if seen == self._seen:
            return False
        fresh = self._read()
        newer = fresh.last_update_utc > self._list.last_update_utc
        if not newer and fresh != self._list:
            raise _unusable(self._path, "it is not newer than the list in force")
        self._list = fresh
        self._serials = frozenset(entry.serial_number for entry in fresh)
        self._seen = seen
        return newer

    @property
    def not_after(self) -> float:
        """When the list in force expires, in seconds since 1970: no new handshake succeeds from then on."""
        return _next_update_s(self._list)

    def is_revoked(self, der: bytes) -> bool:
        """Whether a peer's certificate, as `SSLObject.getpeercert(True)` gives it, is on the list."""
        return read_leaf(der).serial in self._serials

    def refresh_context(self, context: ssl.SSLContext) -> None:
        """Make new handshakes of `context` honour the list in force. Open connections are not touched."""
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        # From a file of our own: OpenSSL would trust any certificate that it finds beside the list, and the file on
        # disk may have changed since we verified it.
        with NamedTemporaryFile(suffix=".pem") as verified:
            verified.write(self._list.public_bytes(Encoding.PEM))
            verified.flush()
            context.load_verify_locations(cafile=verified.name)
        if context.protocol is ssl.PROTOCOL_TLS_SERVER:
            context.sni_callback = _refusing_sessions_until(time.time())

    def _read(self) -> x509.CertificateRevocationList:
        try:
            with self._path.open("rb") as file:
                pem = file.read(MAX_CRL_BYTES + 1)
            if len(pem) > MAX_CRL_BYTES:
                raise _unusable(self._path, f"it has more than {MAX_CRL_BYTES} bytes")
            crl = x509.load_pem_x509_crl(pem)
            signed = crl.is_signature_valid(self._authority.public_key())  # type: ignore[arg-type]
        except (OSError, ValueError, TypeError) as failure:
            raise _unusable(self._path, str(failure)) from failure
        if not signed or crl.issuer != self._authority.subject:
            raise _unusable(self._path, "the authority did not sign it")
        if crl.next_update_utc is None:
            raise _unusable(self._path, "it does not say until when it is valid")
        if _next_update_s(crl) <= self._clock.wall():
            raise _unusable(self._path, f"it expired on {crl.next_update_utc:%Y-%m-%d %H:%M} UTC", PUBLISH_HINT)
        return crl


def _refusing_sessions_until(
    refreshed_at_s: float,
) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], int | None]:
    """A hook in the handshake that stops TLS 1.2 sessions which were checked against an older list.

    Python cannot turn OpenSSL's session cache off, and a resumed session brings its certificate along unchecked. The
    client's library forgets the refused session, and its next try is a full handshake.
    """

    def refuse(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        session = connection.session if connection.session_reused else None
        stale = session is not None and session.time <= refreshed_at_s
        return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE if stale else None

    return refuse


def _load_authority(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as failure:
        raise ConfigurationError(
            f"cannot use the authority's certificate {path}: {failure}", hint="it is the ca.pem of `keyhop pki`"
        ) from failure


def _seen(path: Path) -> _Seen:
    try:
        status = path.stat()
    except OSError as failure:
        raise _unusable(path, str(failure)) from failure
    return status.st_ino, status.st_mtime_ns, status.st_size


def _next_update_s(crl: x509.CertificateRevocationList) -> float:
    return crl.next_update_utc.timestamp() if crl.next_update_utc else 0.0


def _unusable(path: Path, why: str, hint: str = _ORIGIN_HINT) -> ConfigurationError:
    return ConfigurationError(f"cannot use the revocation list {path}: {why}", hint=hint)
