"""Mutual TLS towards a KME (ETSI GS QKD 014: TLS 1.2 or higher, certificates on both sides)."""

import ssl
from pathlib import Path

from keyhop.apps.client.errors import ClientError


def mutual_tls(
    *, ca: Path | str, certificate: Path | str, key: Path | str, key_password: str | None = None
) -> ssl.SSLContext:
    """A context that trusts only the authority in `ca` and presents `certificate` with its `key` (PEM files).

    The KME's certificate has to name the host of its URL. The checks are the strict ones of RFC 5280; for a
    KME whose certificates fail them, clear `ssl.VERIFY_X509_STRICT` in the context's `verify_flags`.
    Raises ClientError when a file cannot be used.
    """
    for what, path in (("authority", ca), ("certificate", certificate), ("key", key)):
        _check_readable(what, path)
    # Not ssl.create_default_context: it logs the session secrets, and so the keys, where SSLKEYLOGFILE says.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(ca)
    except (OSError, ValueError) as error:
        raise ClientError(f"the authority {ca} cannot be read: {error}") from None
    try:
        # A password callback even without password: OpenSSL would otherwise stop and ask on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: key_password or "")
    except (OSError, ValueError) as error:
        raise ClientError(f"the certificate {certificate} with key {key} cannot be used: {error}") from None
    return context


def _check_readable(what: str, path: Path | str) -> None:
    """The TLS library does not say which of its files is missing."""
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise ClientError(f"the {what} {path} cannot be read: {error.strerror}") from None
