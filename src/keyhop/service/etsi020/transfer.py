"""What is handed from one domain to another, and what an interchange needs of the domain that it stands in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from keyhop.core.ids import SaeId
from keyhop.core.keys import KeyMaterial


@dataclass(frozen=True, slots=True)
class Saes:
    """For whom keys are: the SAE that asked for them and those that it shares them with."""

    initiator: SaeId
    targets: tuple[SaeId, ...]

    def are(self, other: "Saes") -> bool:
        """Whether these are the same SAEs, in whatever order."""
        return self.initiator == other.initiator and set(self.targets) == set(other.targets)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Keys for the same SAEs: 16-byte IDs, and the keys in the same order.

    `optional` are extensions of the request, and `key_optional` those of single keys, that nobody here understands:
    they are passed on unchanged. `batch` is that in which another KME of this domain sent them, or this one does.
    """

    saes: Saes
    ids: tuple[bytes, ...]
    keys: tuple[KeyMaterial, ...]
    optional: dict[str, Any] | None = None
    key_optional: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    batch: bytes = b""


type Relayed = Callable[[str | None], None]
"""Gets None once every target's KME holds all keys durably, or the reason why not; then none of them is left there."""

type Recalled = Callable[[frozenset[bytes]], None]
"""Gets the IDs of those keys that nobody was given and nobody will be."""

type Voided = Callable[[frozenset[bytes] | None], None]
"""The same, of keys over there; None when the other KMS has not said so in time, and is still asked."""


class Domain(Protocol):
    """The network behind an interchange."""

    def check_route(self, saes: Saes) -> None:
        """Whether keys that came from the other domain may go to these SAEs. Raises Problem."""
        ...

    def check_allowed(self, saes: Saes) -> None:
        """Whether these SAEs may share keys. Raises Problem."""
        ...

    def has_room(self, saes: Saes, count: int) -> bool:
        """Whether so many more keys may wait to be fetched."""
        ...

    def relay(self, transfer: Transfer, deadline: float, done: Relayed) -> None:
        """Carries keys to the KMEs of their targets; calls `done` once, by `deadline` (monotonic) or soon after.

        Raises Problem instead when nothing of them leaves.
        """
        ...

    def forget(self, ids: tuple[bytes, ...], saes: Saes) -> None:
        """Nobody was given these keys, and nobody shall be."""
        ...

    def recall(self, ids: tuple[bytes, ...], saes: Saes, done: Recalled) -> None:
        """Takes keys back from the KMEs of their targets, if no SAE was given them; calls `done` once."""
        ...
