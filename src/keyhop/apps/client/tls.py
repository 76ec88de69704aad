"""Mutual TLS towards a KME (ETSI GS QKD 014: TLS 1.2 or higher, certificates on both sides)."""

import ssl
from pathlib import Path

from keyhop.apps.client.errors import ClientError


def mutual_tls(
    *, ca: Path | str, certificate: Path | str, key: Path | str, key_password: str | None = None
) -> ssl.SSLContext:
    """A context that trusts only the authority in `ca` and presents `certificate` with its `key` (PEM files).

    The KME's certificate has to name the host of its URL. Python's strict X.509 checks stay on; for a KME
    whose certificates fail them, clear `ssl.VERIFY_X509_STRICT` in the context's `verify_flags`.
    Raises ClientError when a file cannot be used.
    """
    # With a purpose and a cafile the system's authorities are not loaded: only the operator's own counts.
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    except (OSError, ValueError) as error:
        raise ClientError(f"the authority {ca} cannot be read: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # A password callback even without password: OpenSSL would otherwise stop and ask on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: key_password or "")
    except (OSError, ValueError) as error:
        raise ClientError(f"the certificate {certificate} with key {key} cannot be used: {error}") from None
    return context
