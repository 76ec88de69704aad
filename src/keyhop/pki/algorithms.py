"""The signature keys of the authority and its certificates."""

import ssl
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.hashes import SHA256

from keyhop.core.errors import ConfigurationError

PrivateKey = ec.EllipticCurvePrivateKey | mldsa.MLDSA65PrivateKey

_FIRST_OPENSSL_WITH_ML_DSA = (3, 5)


class Algorithm(StrEnum):
    """ECDSA over P-256 (FIPS 186-5), or ML-DSA-65 (FIPS 204), which withstands a quantum computer."""

    ECDSA_P256 = "ecdsa-p256"
    ML_DSA_65 = "ml-dsa-65"


def new_key(algorithm: Algorithm) -> PrivateKey:
    """A fresh private key.

    Raises `ConfigurationError` when Python's TLS stack could not use a certificate made with it.
    """
    if algorithm is Algorithm.ECDSA_P256:
        return ec.generate_private_key(ec.SECP256R1())
    if ssl.OPENSSL_VERSION_INFO[:2] < _FIRST_OPENSSL_WITH_ML_DSA:
        raise ConfigurationError(
            f"the TLS stack of this Python, {ssl.OPENSSL_VERSION}, does not take ML-DSA-65 certificates",
            hint=f"use a Python built with OpenSSL 3.5 or newer, or --algorithm {Algorithm.ECDSA_P256}",
        )
    try:
        return mldsa.MLDSA65PrivateKey.generate()
    except UnsupportedAlgorithm as unsupported:
        raise ConfigurationError(
            "the installed 'cryptography' package was built without ML-DSA-65",
            hint=f"install its official wheel, or use --algorithm {Algorithm.ECDSA_P256}",
        ) from unsupported


def algorithm_of(key: object) -> Algorithm:
    """Which of ours a private key is. Raises `ConfigurationError` for any other."""
    if isinstance(key, mldsa.MLDSA65PrivateKey):
        return Algorithm.ML_DSA_65
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return Algorithm.ECDSA_P256
    raise ConfigurationError(
        "the authority's key is of a kind that keyhop does not make",
        hint=f"keyhop makes {' and '.join(Algorithm)} keys",
    )


def signing_hash(key: PrivateKey) -> SHA256 | None:
    """The hash to sign with: ML-DSA has its own inside."""
    return None if isinstance(key, mldsa.MLDSA65PrivateKey) else SHA256()
