"""What the calls give back, in our own names; sizes in bits."""

import hmac
from collections.abc import Buffer
from dataclasses import dataclass
from typing import Any, NoReturn
from uuid import UUID


class SecretBytes:
    """Key bytes that cannot print themselves, be pickled, copied or hashed; compares in constant time."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Buffer) -> None:
        self._secret = bytes(secret)

    def reveal(self) -> bytes:
        """The bytes themselves; the single way to them."""
        return self._secret

    def __len__(self) -> int:
        return len(self._secret)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretBytes) and hmac.compare_digest(self._secret, other._secret)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{8 * len(self._secret)} bits of key>"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("key bytes cannot be pickled or copied")


@dataclass(frozen=True, slots=True)
class Status:
    """Status (clause 6.1): a KME's view of the caller and a slave; counts are of keys of `key_size_bits`."""

    source_kme_id: str
    target_kme_id: str
    master_sae_id: str
    slave_sae_id: str
    key_size_bits: int
    stored_key_count: int
    max_key_count: int
    max_key_per_request: int
    max_key_size_bits: int
    min_key_size_bits: int
    max_sae_id_count: int
    extension: Any = None


@dataclass(frozen=True, slots=True)
class Key:
    """One key; the extensions are whatever JSON the vendor put there, None if nothing."""

    key_id: UUID
    secret: SecretBytes
    key_id_extension: Any = None
    key_extension: Any = None

    @property
    def size_bits(self) -> int:
        """Length of the key."""
        return 8 * len(self.secret)


@dataclass(frozen=True, slots=True)
class Voided:
    """What became of keys that were to be voided, in the order asked for: no slave was given the `voided`, and none
    will be; the others one was given, or may have been."""

    voided: tuple[UUID, ...]
    not_voided: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class KeyContainer:
    """Key container (clause 6.3): at least one key, all key IDs different."""

    keys: tuple[Key, ...]
    extension: Any = None
