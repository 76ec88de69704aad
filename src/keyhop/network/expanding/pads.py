"""The pad that a seed gives."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

SEED_BYTES = 32
_MOST = 255 * 32
"""What HKDF gives of one context (RFC 5869)."""


def expanded(seed: bytes, number: int, size_bytes: int) -> bytes:
    """The pad of this number, `size_bytes` long: HKDF-Expand for each 8,160 bytes of it. No two numbers share any."""
    pieces = []
    for piece in range(-(-size_bytes // _MOST)):
        length = min(_MOST, size_bytes - _MOST * piece)
        info = b"keyhop expanded pad v1" + number.to_bytes(8) + size_bytes.to_bytes(8) + piece.to_bytes(4)
        pieces.append(HKDFExpand(SHA256(), length, info).derive(seed))
    return b"".join(pieces)
