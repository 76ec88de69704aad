"""Records on their way to several KMEs and other domains, and how they travel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path
from keyhop.core.records import RecordOrigin, RecordSource
from keyhop.network.hybrid.records import RecordSecret
from keyhop.service.policy import PairPolicy


@dataclass(frozen=True, slots=True)
class Copies:
    """Keys of one size, one after the other. `ids` are for SAEs and other domains, `kept_as` for KMEs of this one.

    `made_by` is what made them. They travel as the `policies` of their slaves want it; `expanded`, under pads of that
    kind; `fresh`, by one way only, after so many others that went astray; `combining`, as `parts` that make the keys
    together with that secret. `crossed` are the paths that they were sent over; `came`, how they came to this KME, if
    another one of this domain sent them. `objection` is asked once all are there, before anybody has them: what speaks
    against it by then, if anything does.
    """

    master: SaeId
    homes: Mapping[SaeId, KmeId]
    ids: bytes
    kept_as: bytes
    keys: KeyMaterial
    made_by: RecordSource
    optional: dict[str, Any] | None = None
    key_optional: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    policies: Mapping[SaeId, PairPolicy] = field(default_factory=dict)
    expanded: bool = False
    fresh: int | None = None
    combining: RecordSecret | None = None
    parts: KeyMaterial | None = None
    crossed: set[Path] = field(default_factory=set)
    came: RecordOrigin | None = None
    objection: Callable[[], str | None] = lambda: None

    @property
    def sent(self) -> KeyMaterial:
        """What other KMEs get under pads."""
        return self.parts or self.keys

    @property
    def number(self) -> int:
        """How many keys."""
        return len(self.ids) // KEY_ID_BYTES
