"""What a vendor's device does for an adapter, and how it says that it cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from keyhop.core.errors import LinkError
from keyhop.core.keys import KeyMaterial

MAX_NAME_BYTES = 255
MAX_PIECE_BYTES = 1 << 19
MAX_GREETING_BYTES = 64


@dataclass(frozen=True, slots=True)
class Piece:
    """Key bytes, and the name by which the device at the far end knows the same bytes."""

    name: bytes
    material: KeyMaterial


class NoKeysNow(LinkError):
    """The device works but has nothing to give; `retry_after_s` if it said when to ask again."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeviceFault(LinkError):
    """The device cannot be used as it is: an operator may have to do something. It is tried again all the same."""


class StreamEnded(DeviceFault):
    """What `open` began is over: it must be opened again before `produce` gives anything."""


class Device(Protocol):
    """One end's device. Every method may raise NoKeysNow and DeviceFault, and is called again then."""

    async def open(self, greeting: bytes | None) -> bytes:
        """Connects. None at the initiator, whose answer the follower's device is opened with."""
        ...

    async def produce(self, wanted_bytes: int) -> list[Piece]:
        """New pieces, at least one, about as many bytes as wanted. At the initiator only. May raise StreamEnded."""
        ...

    async def copies(self, names: Sequence[bytes], sizes: Sequence[int], found: dict[bytes, KeyMaterial]) -> None:
        """Puts into `found` what there is of these names, skipping those in it. At the follower only.

        The names come from the far end. When it returns, what was not found never will be.
        """
        ...

    async def consume(self, names: Sequence[bytes]) -> None:
        """These become a block: whatever the device still holds of them must not come up again."""
        ...

    def lost(self, names: Sequence[bytes]) -> None:
        """The far end lacks these, so they will not become a block. At the initiator only."""
        ...

    async def close(self) -> None:
        """Ends what `open` began; harmless when nothing is open. Does not raise."""
        ...
