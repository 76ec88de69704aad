"""The certificate that a node shows: whether it is the node's, and whether others will take it.

TLS itself accepts any pair of certificate and key here; the others then refuse it, and do not say why.
"""

import os
import stat
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keyhop.core.errors import ConfigurationError
from keyhop.pki.contexts import TlsFiles

MAX_FILE_BYTES = 1 << 20
MAX_CHAIN = 8
_USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


def check_own_certificate(files: TlsFiles, name: str, now_s: float) -> x509.Certificate:
    """The certificate of node `name`, fit for both ends of TLS at `now_s` (seconds since 1970).

    Raises ConfigurationError naming the one file that is at fault.
    """
    trusted = _certificates(files.ca, "ca")
    own, *between = _certificates(files.certificate, "certificate")
    _check_name(files.certificate, own, name)
    _check_dates(files.certificate, own, now_s, f"renew it: keyhop pki renew {name}")
    _check_usages(files.certificate, own, name)
    _check_key(files, own)
    anchor = _anchor(own, between, trusted)
    if anchor is None:
        raise _wrong(
            files.certificate,
            "certificate",
            f"no authority in {files.ca} signed it",
            "certificate and ca come from the same authority: copy both from its directory",
        )
    _check_dates(files.ca, anchor, now_s, "make a new authority: keyhop pki init", key="ca")
    return own


def _certificates(path: Path, key: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, key))
    except ValueError as failure:
        raise _wrong(path, key, "it is no PEM certificate", "`keyhop pki` writes such files") from failure


def _check_name(path: Path, own: x509.Certificate, name: str) -> None:
    names = [str(entry.value) for entry in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [name]:
        raise _wrong(
            path,
            "certificate",
            f"its subject CN is {' and '.join(map(repr, names)) or 'missing'}, and this node is {name!r}",
            f"give the certificate of {name}, or make one: keyhop pki node {name} --host HOST",
        )


def _check_dates(path: Path, found: x509.Certificate, now_s: float, hint: str, *, key: str = "certificate") -> None:
    if now_s >= found.not_valid_after_utc.timestamp():
        raise _wrong(path, key, f"it expired on {found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC", hint)
    if now_s < found.not_valid_before_utc.timestamp():
        since = f"{found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise _wrong(path, key, f"it is valid from {since} on only", "is the clock of this machine right?")


def _check_usages(path: Path, own: x509.Certificate, name: str) -> None:
    try:
        usages = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return  # for any usage (RFC 5280, 4.2.1.12)
    except ValueError as failure:
        raise _wrong(path, "certificate", f"its extensions are broken: {failure}", "issue a new one") from failure
    missing = [role for role, usage in _USAGES.items() if usage not in usages]
    if missing:
        raise _wrong(
            path,
            "certificate",
            f"its extended key usage does not allow it to be a TLS {' or '.join(missing)}",
            f"a node is both, an SAE is a client only; make a node's: keyhop pki node {name} --host HOST",
        )


def _check_key(files: TlsFiles, own: x509.Certificate) -> None:
    pem = _read(files.key, "key")
    mode = stat.S_IMODE(files.key.stat().st_mode)
    if mode & 0o077:
        raise _wrong(files.key, "key", f"others may use it (mode {mode:04o})", f"chmod 600 {files.key}")
    try:
        private = load_pem_private_key(pem, password=None)
    except TypeError:
        raise _wrong(files.key, "key", "it is encrypted", "a node reads plain keys of mode 0600") from None
    except (ValueError, UnsupportedAlgorithm):  # not chained: nothing of a key file may be shown
        raise _wrong(files.key, "key", "it is no PEM private key", "`keyhop pki` writes such files") from None
    if private.public_key() != own.public_key():
        raise _wrong(
            files.key,
            "key",
            f"it does not belong to the certificate {files.certificate}",
            "a renewed certificate has a new key: copy both",
        )


def _anchor(
    own: x509.Certificate, between: list[x509.Certificate], trusted: list[x509.Certificate]
) -> x509.Certificate | None:
    """The trusted certificate at the end of the chain, or None."""
    last = own
    for _ in range(MAX_CHAIN):
        for authority in trusted:
            if _issued(authority, last):
                return authority
        issuer = next((other for other in between if _issued(other, last)), None)
        if issuer is None:
            return None
        last = issuer
    return None


def _issued(issuer: x509.Certificate, subject: x509.Certificate) -> bool:
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _read(path: Path, key: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as failure:
        reason = os.strerror(failure.errno or 0)
        raise _wrong(path, key, reason, "relative paths are taken from the directory of node.toml") from None
    if len(content) > MAX_FILE_BYTES:
        raise _wrong(path, key, f"it has more than {MAX_FILE_BYTES} bytes", "is it the right file?")
    return content


def _wrong(path: Path, key: str, why: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"[tls] {key} {path}: {why}", hint=hint)
