"""Leases asked for ahead of their use, and told to the follower until it has noted them."""

from collections import deque
from collections.abc import Callable

from keyhop.core.clock import Clock
from keyhop.core.streams import ID_KEY_UNITS, Lease, OwnedStream
from keyhop.network.leasing.demand import Demand
from keyhop.network.wire import Body, Leased, LeaseNoted


class Ahead:
    """The leases of one owned stream."""

    def __init__(self, stream: OwnedStream, clock: Clock, send: Callable[[Body], None]) -> None:
        self._stream = stream
        self._clock = clock
        self._send = send
        self._pending: deque[Lease] = deque()
        self._asked_at = 0.0
        self._noted = (0, 0)
        self.demand = Demand(clock)
        self.enough_units = 0
        """With fewer leased units it is time to see how much to lease."""

    @property
    def asked_units(self) -> int:
        """What comes with leases that the follower has not noted yet."""
        return sum(lease.end - lease.start for lease in self._pending)

    def ask(self, wanted: int) -> None:
        """Asks for the next lease if it is time for it: of `wanted` units for those who wait, and of some ahead."""
        stream = self._stream
        if self._pending or not stream.available_units:
            return
        ahead = self.demand.lease_units()
        self.enough_units = (ahead + 1) // 2
        if stream.leased_units >= max(wanted, self.enough_units):
            return
        lease = stream.lease(wanted + ahead - stream.leased_units)
        if lease is not None:
            self._pending.append(lease)
            self._asked_at = self._clock.monotonic()
            self.tell()

    def noted(self, message: LeaseNoted) -> None:
        """The follower knows the lease: its bytes can be used."""
        self._noted = max(self._noted, (message.epoch, message.taken))
        while self._pending and (self._pending[0].epoch, self._pending[0].end) <= (message.epoch, message.taken):
            self._stream.activate(self._pending.popleft())
            self.demand.answered(self._clock.monotonic() - self._asked_at)

    def tell(self) -> None:
        """Tells of what the follower may not have noted."""
        if self._pending:
            last = self._pending[-1]
            self._send(Leased(last.epoch, last.end))

    def tell_of_voided(self) -> None:
        """What was voided is told once; if that is lost, the follower would take it for stock."""
        stream = self._stream
        if not self._pending and stream.taken > ID_KEY_UNITS and (stream.epoch, stream.taken) > self._noted:
            self._send(Leased(stream.epoch, stream.taken))

    def forget(self) -> None:
        """What was asked for is gone."""
        self._pending.clear()
