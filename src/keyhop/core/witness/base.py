"""What a witness states, and the protocol of whatever keeps it."""

from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

STORE_ID_BYTES = 16


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The store `store` (a random identity) of the KME `node` has come to `step`."""

    node: Annotated[str, Meta(min_length=1, max_length=64)]
    store: Annotated[bytes, Meta(min_length=STORE_ID_BYTES, max_length=STORE_ID_BYTES)]
    step: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class WitnessKeeper(Protocol):
    """Keeps one statement where no backup of the store reaches. Used by one process at a time."""

    def read(self) -> Statement | None:
        """What was written last, None when nothing ever was. Raises ConfigurationError when it cannot be read."""
        ...

    def write(self, statement: Statement) -> None:
        """Durable when it returns. Raises StoreFailure."""
        ...

    def close(self) -> None:
        """Lets go of it. Idempotent."""
        ...
