"""Hybrid keys of streams, made anew from what docs/reference/policy.md says of them."""

from hashlib import sha256
from hmac import digest

from keyhop.core.combiners import XOR, Combiner
from keyhop.core.xor import xor


def hybrid_key(
    combiner: Combiner, secret: bytes, master: str, slave: str, key_id: bytes, size_bytes: int, part: bytes
) -> bytes:
    """A key of that size, out of an ML-KEM secret and its part of the stream."""
    context = (combiner.encode(), key_id, size_bytes.to_bytes(2), master.encode(), slave.encode())
    info = b"".join(len(field).to_bytes(2) + field for field in context)
    if combiner == XOR:
        return xor(part, _hkdf(secret, info, size_bytes))
    return _hkdf(part + secret, info, size_bytes)


def _hkdf(secret: bytes, info: bytes, size_bytes: int) -> bytes:
    """RFC 5869, with SHA-256."""
    extracted = digest(b"keyhop hybrid v1", secret, sha256)
    made = last = b""
    number = 0
    while len(made) < size_bytes:
        number += 1
        last = digest(extracted, last + info + bytes([number]), sha256)
        made += last
    return made[:size_bytes]
