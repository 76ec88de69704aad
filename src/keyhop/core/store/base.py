"""The protocol of a store."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, Protocol

Kind = Literal[
    "stream", "chunk", "record", "ending", "outgoing", "link", "adapter", "witness", "exchange", "psk", "hybrid", "seed"
]


class Slot(NamedTuple):
    """The name of one value. Names of a kind are scanned in their lexical order."""

    kind: Kind
    name: str


class KeyStore(Protocol):
    """A map from slots to secret values whose changes are atomic and durable.

    After the first StoreFailure a store refuses everything with StoreFailure until it is opened anew: what a disk
    holds after a failed fsync is known only by reading it again.
    """

    def commit(self, writes: Mapping[Slot, bytes | None]) -> None:
        """Makes all writes durable, or none; None deletes. Raises StoreFailure."""
        ...

    def read(self, slot: Slot) -> bytes | None:
        """The value, or None. Raises StoreFailure, also when a value was altered at rest."""
        ...

    def scan(self, kind: Kind, prefix: str = "") -> Iterator[tuple[Slot, bytes]]:
        """All values of a kind whose names begin with `prefix`, in the order of their names."""
        ...

    def close(self) -> None:
        """Lets go of the store. Idempotent."""
        ...
