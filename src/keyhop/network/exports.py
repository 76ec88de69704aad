"""What a KME that joins its network to another one passes on: records for SAEs that are not of this network."""

from collections.abc import Callable, Iterable
from typing import Literal, Protocol

from keyhop.core.ids import SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordOrigin

type Exported = Literal["new", "under way", "yes", "no", "others"]

type Passed = Callable[[str | None], None]
"""Gets None once every slave can have the records, or the reason why none will."""


class Exports(Protocol):
    """The way into other networks."""

    def concern(self, slaves: Iterable[str]) -> bool:
        """Whether one of them is of another network, whatever KME leads there."""
        ...

    def kept_as(self, master: SaeId, key_id: bytes) -> bytes:
        """Under which ID a key is kept here that is passed on under this one as well."""
        ...

    def outcome(self, master: SaeId, slaves: Iterable[str], ids: bytes, batch: bytes) -> Exported:
        """What is known of the records that came in that batch: `yes` if every slave can have them now; `others` if
        others were passed on under one of their IDs."""
        ...

    def export(
        self,
        slaves: tuple[SaeId, ...],
        ids: bytes,
        keys: KeyMaterial,
        origin: RecordOrigin,
        done: Passed,
    ) -> None:
        """Passes records on, which came here in that way."""
        ...

    def join(self, master: SaeId, batch: bytes, done: Passed) -> None:
        """The same, of records that are under way."""
        ...


class NoExports:
    """Of a KME that leads to no other network. `foreign` tells which SAEs are of another one all the same."""

    def __init__(self, foreign: Callable[[SaeId], bool] = lambda sae: False) -> None:
        self._foreign = foreign

    def concern(self, slaves: Iterable[str]) -> bool:
        return any(self._foreign(SaeId(slave)) for slave in slaves)

    def kept_as(self, master: SaeId, key_id: bytes) -> bytes:
        return key_id

    def outcome(self, master: SaeId, slaves: Iterable[str], ids: bytes, batch: bytes) -> Exported:
        return "new"

    def export(
        self,
        slaves: tuple[SaeId, ...],
        ids: bytes,
        keys: KeyMaterial,
        origin: RecordOrigin,
        done: Passed,
    ) -> None:
        done("no other network is joined here")

    def join(self, master: SaeId, batch: bytes, done: Passed) -> None:
        done("no other network is joined here")
