"""ML-KEM-768, as both ends use it. The library draws what a secret is made of itself, so a run that has to be repeated
exactly takes another `Kem` of the same shape."""

from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

SEED_BYTES = 64


class Kem(Protocol):
    """A key pair is named by its seed, `SEED_BYTES` of random. Secrets have 32 bytes."""

    def public_key(self, seed: bytes) -> bytes:
        """To which others encapsulate."""
        ...

    def encapsulate(self, public_key: bytes) -> tuple[bytes, bytes]:
        """A secret, and what travels of it. Raises ValueError for what is no key."""
        ...

    def decapsulate(self, seed: bytes, sealed: bytes) -> bytes:
        """The secret; another one of what was altered."""
        ...


class MlKem768:
    """FIPS 203, by the library."""

    def public_key(self, seed: bytes) -> bytes:
        return MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()

    def encapsulate(self, public_key: bytes) -> tuple[bytes, bytes]:
        return MLKEM768PublicKey.from_public_bytes(public_key).encapsulate()

    def decapsulate(self, seed: bytes, sealed: bytes) -> bytes:
        return MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(sealed)
