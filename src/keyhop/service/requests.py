"""What an SAE can ask of its KME and what it gets, free of any wire format.

The interfaces (ETSI 014 first) translate their messages into these; `delivery` answers them.
"""

from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path
from keyhop.service.combining import Combiner

RouteType = Literal["direct", "any"]
Interface = Literal["etsi014"]
"""Through which door a request came, for the audit log."""
Mark = Combiner | Literal["expanded"]
"""Keys that are not what a QKD link gives: combined with something else, or sent under pads that a KDF made."""
RECORD_SOURCE: Final = "kme"
"""What made the bytes of a record: the master's KME."""
FOREIGN_SOURCE: Final = "etsi020"
"""Of a record that came from another domain."""
SAE_SOURCE: Final = "sae"
"""Of a record that its master brought."""


class GetStatus(msgspec.Struct, frozen=True):
    """ETSI GS QKD 014, clause 5.1: `caller` asks about keys shared with `peer`."""

    caller: SaeId
    peer: SaeId


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


class GetKey(msgspec.Struct, frozen=True):
    """ETSI GS QKD 014, clause 5.2: `master` asks for fresh keys to share with `slave` and `additional_slaves`.

    `number` and `size_bits` are None when the SAE leaves them to the policy. `route` and `max_age_s` are
    requirements; a request that they make impossible fails when `strict`, and is served without them otherwise.
    """

    master: SaeId
    slave: SaeId
    number: int | None = None
    size_bits: int | None = None
    additional_slaves: tuple[SaeId, ...] = ()
    route: RouteType = "any"
    route_strict: bool = False
    max_age_s: float | None = None
    max_age_strict: bool = False
    provenance: bool = False
    interface: Interface = "etsi014"


class GetKeyWithIds(msgspec.Struct, frozen=True):
    """ETSI GS QKD 014, clause 5.3: `slave` asks for the keys whose IDs `master` sent it.

    `ids` are 16 bytes each, one after the other.
    """

    slave: SaeId
    master: SaeId
    ids: bytes
    interface: Interface = "etsi014"

    @property
    def count(self) -> int:
        """How many keys."""
        return len(self.ids) // KEY_ID_BYTES

    @property
    def key_ids(self) -> tuple[bytes, ...]:
        """Each ID by itself."""
        ids = self.ids
        return tuple([ids[at : at + KEY_ID_BYTES] for at in range(0, len(ids), KEY_ID_BYTES)])


class InsertKeys(msgspec.Struct, frozen=True):
    """An extension of ours: `master` brings keys of its own to share with `slave` and `additional_slaves`.

    `keys` are those of one size, one after the other. `ids` are the IDs that the master has chosen, 16 bytes each in
    the same order, or empty when the KME shall draw them.
    """

    master: SaeId
    slave: SaeId
    keys: KeyMaterial
    size_bytes: int
    ids: bytes = b""
    additional_slaves: tuple[SaeId, ...] = ()
    interface: Interface = "etsi014"

    @property
    def count(self) -> int:
        """How many keys."""
        return len(self.keys) // self.size_bytes


class VoidKeys(msgspec.Struct, frozen=True):
    """An extension of ours: `master` wants that none of the slaves that have not fetched its keys ever gets them.

    The slaves are those whom it shares the keys with; `ids` are 16 bytes each, one after the other.
    """

    master: SaeId
    slave: SaeId
    ids: bytes
    additional_slaves: tuple[SaeId, ...] = ()
    interface: Interface = "etsi014"


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


class KeyService(Protocol):
    """What an interface needs of the delivery. All but the first answer through `reply`, exactly once, often at once.

    A reply comes only after everything that it depends on is durable here and at the other KMEs, and keys only after
    their record is in the audit log.
    """

    def get_status(self, request: GetStatus) -> Status:
        """Raises RequestError."""
        ...

    def get_key(self, request: GetKey, reply: KeyReply) -> None:
        """Replies Keys, or a RequestError or Unavailable (never raises them)."""
        ...

    def get_key_with_ids(self, request: GetKeyWithIds, reply: KeyReply) -> None:
        """Replies Keys, or a RequestError or Unavailable (never raises them); all keys or none."""
        ...

    def insert_keys(self, request: InsertKeys, reply: InsertReply) -> None:
        """Replies InsertedKeys, or a RequestError or Unavailable (never raises them); all slaves get keys, or none."""
        ...

    def void_keys(self, request: VoidKeys, reply: VoidReply) -> None:
        """Replies VoidedKeys, or a RequestError or Unavailable (never raises them); then some may be void all the
        same, and to ask again does no harm."""
        ...
