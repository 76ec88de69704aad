"""What SAEs are answered."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from keyhop.core.combiners import Combiner
from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path

Mark = Combiner | Literal["expanded"]
"""Keys that are not what a QKD link gives: combined with something else, or sent under pads that a KDF made."""
RECORD_SOURCE: Final = "kme"
"""What made the bytes of a record: the master's KME."""
FOREIGN_SOURCE: Final = "etsi020"
"""Of a record that came from another domain."""
SAE_SOURCE: Final = "sae"
"""Of a record that its master brought."""


class Status(msgspec.Struct, frozen=True):
    """What a KME says of a pair of SAEs; counts are of keys of `key_size_bits`."""

    source_kme: KmeId
    target_kme: KmeId
    master: SaeId
    slave: SaeId
    key_size_bits: int
    stored_key_count: int
    max_key_count: int
    max_key_per_request: int
    max_key_size_bits: int
    min_key_size_bits: int
    max_sae_id_count: int


class InsertedKeys(msgspec.Struct, frozen=True):
    """The answer to `InsertKeys`: every slave's KME holds the keys of these IDs."""

    ids: bytes


class VoidedKeys(msgspec.Struct, frozen=True):
    """The answer to `VoidKeys`: of the keys asked for, in their order, which no slave was given and none will be.

    The others a slave was given, or may have been: fetched, too old, or no keys of these SAEs.
    """

    ids: bytes
    voided: tuple[bool, ...]


class Provenance(msgspec.Struct, frozen=True):
    """Where key bytes come from: the kind of source, the KMEs they crossed, the age of the oldest byte."""

    source: str
    paths: tuple[Path, ...]
    age_s: float


class KeyRun(msgspec.Struct, frozen=True):
    """`len(ids) // 16` keys of one size: their IDs one after the other, and their bytes one after the other.

    `mark` is what else they are, when not a stream's or a KME's bytes under pads of QKD links.
    """

    ids: bytes
    size_bytes: int
    material: KeyMaterial
    mark: Mark | None = None

    def made_by(self, source: str) -> str:
        """What made them, out of bytes of that source: as the audit log has it."""
        return f"{source}, {self.mark}" if self.mark else source

    @property
    def count(self) -> int:
        """How many keys."""
        return len(self.ids) // KEY_ID_BYTES

    def part(self, first: int, count: int) -> "KeyRun":
        """So many of them, from one on."""
        start, end = first, first + count
        ids = self.ids[KEY_ID_BYTES * start : KEY_ID_BYTES * end]
        secret = self.material.reveal()[self.size_bytes * start : self.size_bytes * end]
        return KeyRun(ids, self.size_bytes, KeyMaterial(secret), self.mark)


class Keys(msgspec.Struct, frozen=True):
    """The answer to `GetKey` and `GetKeyWithIds`: keys in the order asked for, as runs of one size each.

    `sent_before` of the keys go to this SAE for the second time, within the policy's re-delivery window.
    """

    runs: tuple[KeyRun, ...]
    provenance: Provenance | None = None
    sent_before: int = 0


type KeyReply = Callable[[Keys | KeyhopError], None]
type InsertReply = Callable[[InsertedKeys | KeyhopError], None]
type VoidReply = Callable[[VoidedKeys | KeyhopError], None]
