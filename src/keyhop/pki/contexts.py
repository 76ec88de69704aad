"""Mutual TLS contexts.

Both ends show a certificate of the same authority. No renegotiation, no compression, forward secrecy and AEAD only.
There are no session tickets unless they are asked for: each costs about as much as a signature, and a resumed session
skips the revocation check, so who gives tickets asks `Revocations.is_revoked` of every connection. Python cannot turn
off the session IDs of TLS 1.2; `Revocations.refresh_context` refuses those from before the newest list.
"""

import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from keyhop.core.errors import ConfigurationError
from keyhop.pki.revocations import Revocations

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

# TLS 1.2 only; the suites of 1.3 are all of this kind.
_CIPHERS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the authority that we trust, our certificate and key, and the authority's revocation list."""

    ca: Path
    certificate: Path
    key: Path
    crl: Path | None = None


class TellsWhyRefused(ssl.SSLObject):
    """asyncio and uvloop drop the alert that tells a client why its handshake failed, so it sees a bare end of file.

    Asking for more input instead makes them send it; the failure follows with the next input, or at the deadline.
    """

    _refusal: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """Raises SSLError as ever, one turn later."""
        if self._refusal is not None:
            raise self._refusal
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as refusal:
            self._refusal = refusal
            raise ssl.SSLWantReadError from None


def server_context(files: TlsFiles, minimum: str = "1.2", *, tickets: int = 0) -> ssl.SSLContext:
    """For a server that insists on a client certificate. `minimum` is "1.2" or "1.3"; `tickets` are per connection.

    Raises `ConfigurationError` when a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = tickets
    context.sslobject_class = TellsWhyRefused
    _harden(context, files, minimum)
    if tickets:
        context.options &= ~ssl.OP_NO_TICKET  # tickets that hold the session, so that the server need not
    return context


def client_context(files: TlsFiles, minimum: str = "1.2", *, check_hostname: bool = True) -> ssl.SSLContext:
    """For a client that shows its certificate.

    Connections between nodes set `check_hostname` to False and compare the subject CN with the KME ID instead.
    Raises `ConfigurationError` when a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_hostname
    _harden(context, files, minimum)
    return context


def _harden(context: ssl.SSLContext, files: TlsFiles, minimum: str) -> None:
    if minimum not in VERSIONS:
        raise ConfigurationError(f"unknown TLS version {minimum!r}", hint=f"choose one of {', '.join(VERSIONS)}")
    context.minimum_version = VERSIONS[minimum]
    context.set_ciphers(_CIPHERS_1_2)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cafile=files.ca)
    except (OSError, ValueError) as failure:  # ssl.SSLError is an OSError
        raise ConfigurationError(
            f"cannot use the authority's certificate {files.ca}: {failure}", hint="it is the ca.pem of `keyhop pki`"
        ) from failure
    load_own_certificate(context, files)
    if files.crl is not None:
        Revocations(files.ca, files.crl).refresh_context(context)


def load_own_certificate(context: ssl.SSLContext, files: TlsFiles) -> None:
    """What `context` shows in new handshakes. Raises `ConfigurationError` when a file cannot be used.

    A certificate that stands alone is shown with the authority's: OpenSSL would add that by itself, but in every
    handshake anew, with a verification of our own certificate.
    """
    try:
        with NamedTemporaryFile(suffix=".pem") as chain:
            chain.write(files.certificate.read_bytes() + _issuer(files))
            chain.flush()
            context.load_cert_chain(chain.name, files.key, password=_no_password)
    except (OSError, ValueError) as failure:
        raise ConfigurationError(
            f"cannot use the certificate {files.certificate} with the key {files.key}: {failure}",
            hint="each is a PEM file, and the certificate belongs to the key",
        ) from failure


def _issuer(files: TlsFiles) -> bytes:
    """The certificate (PEM) among our authority's that signed ours, if ours stands alone in its file, or nothing."""
    own = x509.load_pem_x509_certificates(files.certificate.read_bytes())
    for authority in x509.load_pem_x509_certificates(files.ca.read_bytes()) if len(own) == 1 else ():
        with suppress(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            own[0].verify_directly_issued_by(authority)
            return authority.public_bytes(Encoding.PEM)
    return b""


def _no_password() -> str:
    # Without this OpenSSL would stop a daemon to ask on its terminal.
    raise ValueError("the key is encrypted; keyhop reads plain keys of mode 0600")
