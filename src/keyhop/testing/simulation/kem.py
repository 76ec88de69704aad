"""What stands in for ML-KEM-768: as large, as deaf to what was altered, and the same in every run of a seed."""

from hashlib import shake_256

from keyhop.core.entropy import Entropy
from keyhop.core.xor import xor
from keyhop.network.hybrid.messages import PUBLIC_KEY_BYTES, SEALED_BYTES

SECRET_BYTES = 32


class SimulatedKem:
    """A `Kem` that keeps no secret: whoever sees what travels knows it."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy

    def public_key(self, seed: bytes) -> bytes:
        return _spread(b"public", seed, PUBLIC_KEY_BYTES)

    def encapsulate(self, public_key: bytes) -> tuple[bytes, bytes]:
        return _sealed(public_key, self._entropy.token(SECRET_BYTES))

    def decapsulate(self, seed: bytes, sealed: bytes) -> bytes:
        public_key = self.public_key(seed)
        found = xor(sealed[:SECRET_BYTES], _spread(b"mask", public_key, SECRET_BYTES))
        secret, fits = _sealed(public_key, found)
        return secret if fits == sealed else _spread(b"altered", seed + sealed, SECRET_BYTES)


def _sealed(public_key: bytes, drawn: bytes) -> tuple[bytes, bytes]:
    masked = xor(drawn, _spread(b"mask", public_key, SECRET_BYTES))
    proof = _spread(b"proof", public_key + drawn, SEALED_BYTES - SECRET_BYTES)
    return _spread(b"secret", drawn, SECRET_BYTES), masked + proof


def _spread(label: bytes, content: bytes, size: int) -> bytes:
    return shake_256(label + b"\0" + content).digest(size)
