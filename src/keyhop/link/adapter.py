"""What every kind of link offers to the node, whatever is behind it.

The rules of an adapter:

1. The same sequence at both ends means the same bytes; a block that one end has and the other lacks is allowed.
2. Sequences rise strictly at each end; gaps are allowed.
3. No sequence is emitted twice: not after a restart, not after the wall clock stepped back.
4. A block whose QBER is over the limit is discarded, and the link stops with a reason.
5. Either end may start, stop, be killed and come back at any time, in a process of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from keyhop.core.keys import KeyMaterial

MAX_QBER = 0.11
"""Above this BB84 yields no secret bits (Shor and Preskill, 2000)."""

type LinkState = Literal["off", "starting", "generating", "stopped"]


@dataclass(frozen=True, slots=True)
class LinkBlock:
    """Key bits that the far end has under the same sequence.

    `qber` is a fraction; `produced_at` counts seconds since 1970; `source` is the kind of link, for provenance.
    """

    sequence: int
    material: KeyMaterial
    qber: float
    produced_at: float
    source: str


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What the operator sees of one end of a link.

    `reason` says why the link is stopped. `sbr_bps` (secret bits per second) and `qber` (a fraction, None before
    the first block) are measured over the last seconds; `blocks` counts since the adapter was made.
    """

    state: LinkState
    reason: str | None
    sbr_bps: float
    qber: float | None
    blocks: int


class LinkAdapter(Protocol):
    """One end of a QKD link."""

    @property
    def kind(self) -> str:
        """As in the configuration."""
        ...

    @property
    def physics(self) -> bool:
        """Whether photons, real or simulated, are behind the blocks."""
        ...

    async def start(self, deliver: Callable[[LinkBlock], None]) -> None:
        """Begins to produce; `deliver` is called on the running event loop, once per block.

        Returns when production is under way or on its way. Raises LinkError when already started.
        """
        ...

    async def stop(self) -> None:
        """Ends production; nothing is delivered afterwards. Harmless when not started; `start` may follow."""
        ...

    def status(self) -> LinkStatus:
        """The link as this end sees it now."""
        ...
