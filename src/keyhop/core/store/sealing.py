"""How values are sealed at rest: AES-256-GCM under keys that live for one run of the process.

Random nonces of 96 bits are safe for some 2³² values under one key. A store writes more than that in its life, so
each run draws a salt, derives a key from it (HKDF-SHA-256, RFC 5869), and draws the next after 2²⁸ values. The salt
stands in front of each value. GCM costs a tenth of its misuse-resistant kin, and a node seals with every commit.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyhop.core.keys import KeyMaterial

_SALT_BYTES = 16
_NONCE_BYTES = 12
_VALUES_PER_KEY = 1 << 28


class Sealing:
    """Seals and opens values under one store key of 32 bytes."""

    def __init__(self, key: KeyMaterial) -> None:
        self._key = key
        self._ciphers: dict[bytes, AESGCM] = {}
        self._begin()

    def seal(self, value: bytes, name: bytes) -> bytes:
        """The value in sealed form, bound to its name."""
        if self._left == 0:
            self._begin()
        self._left -= 1
        nonce = os.urandom(_NONCE_BYTES)
        return self._salt + nonce + self._cipher.encrypt(nonce, value, name)

    def open(self, sealed: bytes, name: bytes) -> bytes | None:
        """The value, or None when it was sealed under another key or name, or was altered."""
        salt, nonce = sealed[:_SALT_BYTES], sealed[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
        if len(nonce) < _NONCE_BYTES:
            return None
        cipher = self._ciphers.get(salt) or self._derived(salt)
        try:
            value = cipher.decrypt(nonce, sealed[_SALT_BYTES + _NONCE_BYTES :], name)
        except InvalidTag:
            return None
        self._ciphers[salt] = cipher
        return value

    def _begin(self) -> None:
        self._salt = os.urandom(_SALT_BYTES)
        self._cipher = self._derived(self._salt)
        self._left = _VALUES_PER_KEY

    def _derived(self, salt: bytes) -> AESGCM:
        return AESGCM(HKDF(SHA256(), 32, salt, b"keyhop store v1").derive(self._key.reveal()))
