"""What this node shows to a vendor's device, and what it expects of it.

Less strict than between our own nodes: certificate authorities in appliances often leave out extensions that
RFC 5280 wants, so VERIFY_X509_STRICT is off. The chain, the name and the dates are checked.
"""

import ssl
import stat
from pathlib import Path

from keyhop.core.errors import ConfigurationError
from keyhop.link.vendors.failures import plain_reason

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def device_context(ca: Path, certificate: Path, key: Path, minimum: str) -> ssl.SSLContext:
    """Mutual TLS to a device. Raises ConfigurationError when a file cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS[minimum]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cafile=ca)
    except OSError as failure:  # ssl.SSLError is one
        raise ConfigurationError(
            f"cannot use the device's authority {ca}: {plain_reason(failure)}", hint="give a PEM file"
        ) from None
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as failure:
        raise ConfigurationError(
            f"cannot use the certificate {certificate} with the key {key}: {plain_reason(failure)}",
            hint="each is a PEM file, the key is not encrypted, and the certificate belongs to it",
        ) from None
    if mode & 0o007:
        raise ConfigurationError(f"{key} can be read by everybody (mode {mode:04o})", hint=f"chmod 600 {key}")
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")
