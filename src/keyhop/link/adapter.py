"""What every kind of link offers to the node, whatever is behind it.

The rules of an adapter:

1. The same sequence at both ends means the same bytes; a block that one end has and the other lacks is allowed.
2. Sequences rise strictly at each end; gaps are allowed.
3. No sequence is emitted twice: not after a restart, not after the wall clock stepped back.
4. A block whose QBER is over the limit is discarded, and the link stops with a reason.
5. Either end may start, stop, be killed and come back at any time, in a process of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.ids import KmeId, LinkId
from keyhop.core.keys import KeyMaterial

MAX_QBER = 0.11
"""Above this BB84 yields no secret bits (Shor and Preskill, 2000)."""

MAX_MESSAGE_BYTES = 1 << 20
"""The largest message of one adapter to the one at the far end."""

type LinkState = Literal["off", "starting", "generating", "stopped"]
type Sleep = Callable[[float], Awaitable[None]]


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

    `reason` says why the link is stopped, or what it waits for while it starts.
    `sbr_bps` (secret bits per second) and `qber` (a fraction, None before the first block) are measured over the last
    seconds; `qber` may be what a link stopped for, until it goes on. `blocks` counts since the adapter was made.
    `details` are figures that only this kind of link has, for people: their names say their units.
    """

    state: LinkState
    reason: str | None
    sbr_bps: float
    qber: float | None
    blocks: int
    details: dict[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """Something that an operator wants to find in the activity log, beside the changes of state."""

    alarm: bool
    text: str


class LinkChannel(Protocol):
    """Messages between the two adapters of a link, over the nodes' connection.

    They arrive on the event loop, in order while the connection lasts, and are lost when there is none. The
    connection keeps strangers out; an adapter whose security rests on its messages authenticates them itself.
    """

    def send(self, message: bytes) -> None:
        """Up to MAX_MESSAGE_BYTES. On the event loop only."""
        ...

    def listen(self, received: Callable[[bytes], None] | None) -> None:
        """From now on messages of the far end go there; None: they are dropped. `received` may raise PeerError."""
        ...


class LinkMemory(Protocol):
    """What an adapter must find again after a crash: one secret value in the node's encrypted store."""

    def load(self) -> bytes | None:
        """What was saved last, None when nothing was. Raises StoreFailure."""
        ...

    def save(self, value: bytes) -> None:
        """Durable with the node's next commit. On the event loop only, as `then`."""
        ...

    def then(self, effect: Callable[[], None]) -> None:
        """What may happen only once everything saved so far is durable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEnd:
    """Which end of which link an adapter is, and what the node gives it. `after` is the highest sequence that the
    node remembers of the link; `report` takes events for the activity log. Blocks have their ages by `clock`, whose
    wall time goes on as it began; `machine` is what somebody may set: two ends have only that in common."""

    link: LinkId
    me: KmeId
    peer: KmeId
    lab: bool
    clock: Clock
    machine: Clock
    entropy: Entropy
    channel: LinkChannel
    memory: LinkMemory
    after: int = -1
    report: Callable[[LinkEvent], None] = lambda event: None
    sleep: Sleep = asyncio.sleep


class LinkAdapter(Protocol):
    """One end of a QKD link."""

    @property
    def kind(self) -> str:
        """As in the configuration."""
        ...

    @property
    def physics(self) -> bool | None:
        """Whether photons, real or simulated, are behind the blocks; None where only a vendor can know."""
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


Attack = Literal["intercept-resend", "photon-number-splitting", "blinding"]
MeasuringBasis = Literal["random", "Z", "X"]


@dataclass(frozen=True, slots=True)
class Eavesdropper:
    """Eve on a simulated line, attacking a fraction of the pulses.

    `intercept-resend` measures them in `basis` and sends what it found; `photon-number-splitting` stops single
    photons and keeps one photon of the others; `blinding` lets the receiver's detectors click only as Eve chooses.
    """

    attack: Attack = "intercept-resend"
    fraction: float = 1.0
    basis: MeasuringBasis = "random"


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What a lab does to a simulated line."""

    cut: bool = False
    extra_loss_db: float = 0.0
    eavesdropper: Eavesdropper | None = None

    def __str__(self) -> str:
        suffers = []
        if self.cut:
            suffers.append("the line is cut")
        if self.extra_loss_db:
            suffers.append(f"{self.extra_loss_db:g} dB of extra loss")
        if eve := self.eavesdropper:
            share = f"{100 * eve.fraction:.4g} % of the pulses"
            suffers.append(f"an eavesdropper: {eve.attack} on {share}, basis {eve.basis}")
        return ", ".join(suffers) or "the line is undisturbed"


@runtime_checkable
class DisturbableLink(LinkAdapter, Protocol):
    """A link whose line is simulated, so that a lab may disturb it. Told at both ends; the simulating one acts."""

    @property
    def disturbance(self) -> Disturbance:
        """What the line suffers now."""
        ...

    def disturb(self, disturbance: Disturbance) -> None:
        """From now on the line suffers this, and nothing else."""
        ...
