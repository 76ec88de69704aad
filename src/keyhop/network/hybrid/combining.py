"""Hybrid keys: bytes of a QKD link together with an ML-KEM-768 secret, so that a key holds while one of the two does.

    xor   QKD bytes XOR HKDF("keyhop hybrid v1", secret, context)
    kdf   HKDF("keyhop hybrid v1", QKD bytes ‖ secret, context)

`xor` keeps what the QKD bytes promise, whoever knows the secret. `kdf` is the concatenation of SP 800-56C r2 and ETSI
TS 103 744: the parts in a fixed order and of lengths that the context says; a key has 256 bits of strength at most.
The context is: the name of the combiner, the ID of the key, its size, and the names of master and slave. HKDF is that
of RFC 5869, with SHA-256.

A key's ID is bound to its combiner and its secret, so both ends make the same key of it, or none.
"""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyhop.core.combiners import KDF, XOR, Combiner
from keyhop.core.ids import each_id
from keyhop.core.keys import KeyMaterial
from keyhop.core.xor import xor
from keyhop.network.hybrid.secret import Secret

COMBINERS: dict[str, Combiner] = {"xor": XOR, "kdf": KDF}
"""By their names in a policy."""
SALT = b"keyhop hybrid v1"
MAX_COMBINED_BYTES = 255 * 32
"""The largest key: HKDF gives no more (RFC 5869, 2.3)."""


def use_of(combiner: Combiner, secret: Secret) -> bytes:
    """What a key's ID is bound to."""
    return combiner.encode() + secret.check


def combined(
    combiner: Combiner, secret: KeyMaterial, master: str, slave: str, ids: bytes, size: int, qkd: bytes
) -> bytes:
    """Keys of `size` bytes, one after the other, out of as many bytes of QKD links; `ids` are 16 bytes a key."""
    make = _xor if combiner == XOR else _kdf
    shared = secret.reveal()
    keys = []
    for index, key_id in enumerate(each_id(ids)):
        part = qkd[size * index : size * (index + 1)]
        keys.append(make(shared, part, context(combiner, key_id, size, master, slave)))
    return b"".join(keys)


def context(combiner: Combiner, key_id: bytes, size: int, master: str, slave: str) -> bytes:
    """What a key is bound to."""
    return info(combiner.encode(), key_id, size.to_bytes(2), master.encode(), slave.encode())


def info(*parts: bytes) -> bytes:
    """Each part behind its length, in two bytes."""
    return b"".join(len(part).to_bytes(2) + part for part in parts)


def _xor(shared: bytes, qkd: bytes, bound_to: bytes) -> bytes:
    return xor(qkd, HKDF(SHA256(), len(qkd), SALT, bound_to).derive(shared))


def _kdf(shared: bytes, qkd: bytes, bound_to: bytes) -> bytes:
    return HKDF(SHA256(), len(qkd), SALT, bound_to).derive(qkd + shared)
