"""Key bytes that cannot print themselves."""

import hmac
from collections.abc import Buffer
from typing import NoReturn

import msgspec


class KeyMaterial:
    """Secret bytes. Shows only its length, compares in constant time, cannot be pickled, hashed or formatted.

    `reveal()` is the single way to the bytes, so that a search for it finds every place that handles them.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: Buffer) -> None:
        self._secret = bytes(secret)

    def reveal(self) -> bytes:
        """The bytes themselves."""
        return self._secret

    def each(self, number: int) -> "list[KeyMaterial]":
        """So many keys of one size, which stand one after the other."""
        size = len(self._secret) // number
        return [KeyMaterial(self._secret[size * i : size * (i + 1)]) for i in range(number)]

    def __len__(self) -> int:
        return len(self._secret)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyMaterial) and hmac.compare_digest(self._secret, other._secret)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self._secret)} bytes of key>"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("key material cannot be pickled")


class Stored(msgspec.Struct):
    """What is stored as it is, with key bytes in it: none of it is shown."""

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}>"
