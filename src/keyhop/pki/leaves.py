"""What is asked of a peer's certificate again and again, while its connection is open."""

from functools import lru_cache
from typing import NamedTuple

from cryptography import x509

UNREADABLE = (ValueError, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)
"""What reading a certificate raises that is none, or says things that cannot be understood."""


class Leaf(NamedTuple):
    """`not_after` counts seconds since 1970."""

    serial: int
    not_after: float


@lru_cache(maxsize=4096)
def read_leaf(der: bytes) -> Leaf:
    """Of a certificate that TLS has verified, as `SSLObject.getpeercert(True)` gives it."""
    certificate = x509.load_der_x509_certificate(der)
    return Leaf(certificate.serial_number, certificate.not_valid_after_utc.timestamp())
