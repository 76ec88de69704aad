"""What SAEs ask for."""

from typing import Literal

import msgspec

from keyhop.core.ids import KEY_ID_BYTES, SaeId, each_id
from keyhop.core.keys import KeyMaterial

RouteType = Literal["direct", "any"]
Interface = Literal["etsi014"]
"""Through which door a request came, for the audit log."""


class GetStatus(msgspec.Struct, frozen=True):
    """ETSI GS QKD 014, clause 5.1: `caller` asks about keys shared with `peer`."""

    caller: SaeId
    peer: SaeId


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
        return tuple(each_id(self.ids))


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
