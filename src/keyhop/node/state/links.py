"""What a node says of its links."""

from dataclasses import dataclass, field

from keyhop.core.ids import KmeId, LinkId
from keyhop.link.adapter import LinkState


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """One link as its end at this node sees it; `sbr_bps` in bits per second, `qber` a fraction.

    `physics` says whether photons, real or simulated, are behind the keys; None where only a vendor can know.
    `alarms` counts since the start of the node; `details` are figures of this kind of link, their units in their names.
    """

    id: LinkId
    peer: KmeId
    kind: str
    physics: bool | None
    state: LinkState
    reason: str | None
    sbr_bps: float
    qber: float | None
    blocks: int
    alarms: int = 0
    details: dict[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkSample:
    """A link at one moment; `at` counts seconds since 1970."""

    at: float
    state: LinkState
    sbr_bps: float
    qber: float | None


@dataclass(frozen=True, slots=True)
class LinkActivity:
    """Something that happened on a link; `at` counts seconds since 1970."""

    at: float
    alarm: bool
    text: str
