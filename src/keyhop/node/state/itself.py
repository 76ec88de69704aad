"""What a node says of itself."""

from dataclasses import dataclass

from keyhop.core.ids import KmeId


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """Which node this is; `started_at` counts seconds since 1970.

    `witness` says whether the store has one; `restored` why the store that was found at the start is an old copy.
    """

    id: KmeId
    version: str
    started_at: float
    pid: int
    witness: bool = False
    restored: str | None = None


@dataclass(frozen=True, slots=True)
class AuditInfo:
    """How far the audit log has come: its records, and its last seal, which vouches for all of them."""

    records: int
    head: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the node serves keys for one other KME at least; `missing` names what it lacks for all of them, such as
    `peer bob: not connected`."""

    ready: bool
    missing: list[str]
