"""Pads for the relay, from the direct stream to one neighbour."""

from keyhop.network.leasing import Cancel, Leasing, Use
from keyhop.network.relay.parcels import Flow
from keyhop.network.sealing import MAC_KEY_BYTES


class Pads:
    """The one place where the relay takes bytes of a stream."""

    def __init__(self, leasing: Leasing) -> None:
        self._leasing = leasing

    def take(self, flow: Flow, size_bytes: int, deadline: float, use: Use) -> Cancel:
        """Calls `use` with a MAC key and a pad of that size, or with None at the deadline (monotonic seconds)."""
        return self._leasing.wait(MAC_KEY_BYTES + size_bytes, 1, "pad", deadline, use)
