"""Whether relayed streams are kept filled, and how much they hold."""

from dataclasses import dataclass
from typing import Literal

from keyhop.network.feeder.water import marks

Buffering = Literal["prefetch", "on-demand"]


@dataclass(frozen=True, slots=True)
class FeederOptions:
    """`prefetch` keeps relayed streams filled, `on-demand` keeps them empty: a key is relayed when it is asked for.

    `least_bytes` is the low mark of a stream of which nobody asks anything.
    """

    buffering: Buffering = "prefetch"
    least_bytes: int = 8192
    most_bytes: int = 16 << 20

    @property
    def usual_bytes(self) -> int:
        """What such a stream holds once it is fed."""
        return marks(0.0, 0, self.least_bytes, self.most_bytes).high
