"""The way into other domains, for the KME that leads to them."""

from collections.abc import Callable, Iterable
from typing import Protocol

from keyhop.core.ids import KmeId, SaeId
from keyhop.service.copies import Copies
from keyhop.service.etsi020.transfer import Saes, Voided

type Spreaded = Callable[[str | None], None]
"""Gets None once every slave can have the keys, or the reason why none will."""


class Abroad(Protocol):
    """Other domains, for the KME that leads to them."""

    def leads_to(self, slave: SaeId) -> KmeId | None:
        """The KMS of another domain that is joined to this very KME and has that SAE."""
        ...

    def send(
        self, kms: KmeId, copies: Copies, slaves: tuple[SaeId, ...], batch: bytes, deadline: float, done: Spreaded
    ) -> None:
        """Hands keys over, which are those of a batch."""
        ...

    def concern(self, slaves: Iterable[str]) -> bool:
        """Whether one of them is of another domain, wherever it is joined."""
        ...

    def kept_as(self, master: SaeId, key_id: bytes) -> bytes:
        """Under which ID SAEs of this KME find a key of a master."""
        ...

    def take_back(self, kms: KmeId, master: SaeId, ids: bytes, batch: bytes = b"") -> None:
        """Nobody was given these keys of a master; with a batch, as far as they were handed over as those of that."""
        ...

    def void(self, kms: KmeId, saes: Saes, ids: tuple[bytes, ...], batch: bytes, deadline: float, done: Voided) -> None:
        """Takes keys back that somebody may have been given; with a batch, only those of that."""
        ...
