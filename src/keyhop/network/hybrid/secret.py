"""What the two ends of a stream agree on."""

from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from keyhop.core.ids import KEY_ID_BYTES
from keyhop.core.keys import KeyMaterial

CHECK_BYTES = KEY_ID_BYTES


@dataclass(frozen=True)
class Secret:
    """An ML-KEM shared secret (32 bytes) for one epoch of one stream."""

    epoch: int
    shared: KeyMaterial

    @cached_property
    def check(self) -> bytes:
        """Names the secret, and tells nothing of it."""
        return HKDFExpand(SHA256(), CHECK_BYTES, b"keyhop hybrid check v1").derive(self.shared.reveal())
