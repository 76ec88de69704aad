"""Records that are combined: every KME has to make the same key, so it cannot be made with a secret of two KMEs alone.

The master's KME draws a secret for the records of one request, and combines their bytes with it as it would bytes of a
stream with an ML-KEM secret (`combining`); the slave's name in the context is empty, since there are several. The bytes
travel as records do, under pads. The secret travels beside them, masked for each KME with the ML-KEM secret of the two:

    HKDF("keyhop hybrid v1", ML-KEM secret, "record secret v1", name of the batch) XOR secret

A batch has a random name, and its one tag or proof covers all of this. So who has all pads lacks the secret, and who
has broken ML-KEM lacks the bytes.
"""

from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta

from keyhop.core.combiners import KDF, Combiner
from keyhop.core.entropy import Entropy
from keyhop.core.ids import KEY_ID_BYTES, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.xor import xor
from keyhop.network.hybrid.combining import SALT, combined, info
from keyhop.network.hybrid.secret import Secret
from keyhop.network.wire_types import Id

SECRET_BYTES = 32
_LABEL = b"record secret v1"


class Masked(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How the records of a batch are combined, and with what: `check` names the ML-KEM secret that masks it."""

    combiner: Combiner
    check: Id
    masked: Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]


class RecordSecret:
    """What the records of one request are combined with."""

    def __init__(self, combiner: Combiner, secret: KeyMaterial) -> None:
        self.combiner: Combiner = combiner
        self._secret = secret

    @classmethod
    def drawn(cls, combiner: Combiner, entropy: Entropy) -> "RecordSecret":
        """Another one."""
        return cls(combiner, KeyMaterial(entropy.token(SECRET_BYTES)))

    @classmethod
    def unmasked(cls, masked: Masked, agreed: Secret, batch: bytes) -> "RecordSecret":
        """What the other KME has masked for this one, with the secret that it names."""
        return cls(masked.combiner, KeyMaterial(xor(_mask(agreed, batch), masked.masked)))

    def masked(self, agreed: Secret, batch: bytes) -> Masked:
        """For the KME with which that ML-KEM secret is agreed on, in the batch of that name."""
        return Masked(self.combiner, agreed.check, xor(_mask(agreed, batch), self._secret.reveal()))

    def keys(self, master: SaeId, ids: bytes, parts: bytes) -> bytes:
        """The keys, of one size, out of what travels of them."""
        size = len(parts) // (len(ids) // KEY_ID_BYTES)
        return combined(self.combiner, self._secret, master, "", ids, size, parts)

    def parts(self, master: SaeId, ids: bytes, keys: bytes) -> bytes:
        """What travels of keys that somebody has chosen. Raises ValueError where no parts make a given key."""
        if self.combiner == KDF:
            raise ValueError("a KDF makes no key that was chosen before")
        return self.keys(master, ids, keys)  # XOR undoes itself


def _mask(agreed: Secret, batch: bytes) -> bytes:
    return HKDF(SHA256(), SECRET_BYTES, SALT, info(_LABEL, batch)).derive(agreed.shared.reveal())
