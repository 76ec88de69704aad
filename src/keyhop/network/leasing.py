"""Stream bytes → uses: leases that the follower has noted, and who waits for them.

A lease is asked for ahead of its use, sized from demand (`demand`), so that a crash burns seconds of key at most and
a request normally finds its bytes in memory.
"""

from collections import deque
from collections.abc import Callable

from keyhop.core.clock import Clock
from keyhop.core.ledger import Purpose
from keyhop.core.streams import Lease, OwnedStream, Taken
from keyhop.core.units import units_for
from keyhop.network.demand import Demand
from keyhop.network.wire import Body, Leased, LeaseNoted

type Use = Callable[[Taken | None], None]
"""Gets the bytes, or None when the wait is over without them."""


class _Want:
    __slots__ = ("count", "deadline", "purpose", "size_bytes", "use")

    def __init__(self, size_bytes: int, count: int, purpose: Purpose, deadline: float, use: Use) -> None:
        self.size_bytes = size_bytes
        self.count = count
        self.purpose: Purpose = purpose
        self.deadline = deadline
        self.use = use

    @property
    def units(self) -> int:
        return units_for(self.size_bytes) * self.count


class Leasing:
    """Takes from one owned stream."""

    def __init__(self, stream: OwnedStream, clock: Clock, send: Callable[[Body], None]) -> None:
        self._stream = stream
        self._clock = clock
        self._send = send
        self._synchronised = False
        self._sealed = False
        self._pending: deque[Lease] = deque()
        self._wants: deque[_Want] = deque()
        self.demand = Demand(clock)

    def take(self, size_bytes: int, count: int, purpose: Purpose) -> Taken | None:
        """The next bytes at once, or None: then `wait`. Nobody overtakes those who wait for what there is."""
        if self._sealed or any(not self._starved(want) for want in self._wants):
            return None
        taken = self._stream.take(size_bytes, count, purpose)
        if taken is not None:
            self.demand.took(units_for(size_bytes) * count)
            self._ask_ahead()
        return taken

    def wait(self, size_bytes: int, count: int, purpose: Purpose, deadline: float, use: Use) -> None:
        """Calls `use` when the bytes have come, or with None at the deadline (monotonic seconds)."""
        if self._sealed:
            use(None)
            return
        self._wants.append(_Want(size_bytes, count, purpose, deadline, use))
        self._ask_ahead()

    def synchronised(self) -> None:
        """A session begins: leases that the follower may not have noted are told again."""
        self._synchronised = True
        self._tell()
        self._ask_ahead()

    def interrupted(self) -> None:
        """The session is over; noted leases can still be used."""
        self._synchronised = False

    def replenished(self) -> None:
        """The stream has more to lease."""
        self._ask_ahead()

    def noted(self, message: LeaseNoted) -> None:
        """The follower knows the lease: its bytes can be used."""
        while self._pending and (self._pending[0].epoch, self._pending[0].end) <= (
            message.epoch,
            message.taken,
        ):
            self._stream.activate(self._pending.popleft())
        self._serve()
        self._ask_ahead()

    def epoch_closed(self) -> None:
        """The stream began anew: what was leased is gone."""
        self._pending.clear()

    def seal(self) -> tuple[int, int] | None:
        """Stops all taking and voids the rest of the lease; returns its range."""
        self.abandon()
        self._pending.clear()
        return self._stream.seal()

    def abandon(self) -> None:
        """Takes nothing more, and tells those who wait."""
        self._sealed = True
        wants, self._wants = self._wants, deque()
        for want in wants:
            want.use(None)

    def tick(self) -> None:
        """Gives up on those whose time is over; tells unnoted leases again."""
        now = self._clock.monotonic()
        late = [want for want in self._wants if want.deadline <= now]
        if late:
            self._wants = deque(want for want in self._wants if want.deadline > now)
            for want in late:
                want.use(None)
            self._serve()
        if self._synchronised:
            self._tell()
            self._ask_ahead()

    def _serve(self) -> None:
        """Serves in their order; those who want more than there is at all do not hold up the others."""
        waiting, self._wants = self._wants, deque()
        while waiting:
            want = waiting.popleft()
            taken = self._stream.take(want.size_bytes, want.count, want.purpose)
            if taken is not None:
                self.demand.took(want.units)
                want.use(taken)
            elif self._starved(want):
                self._wants.append(want)
            else:
                self._wants.extend((want, *waiting))
                return

    def _starved(self, want: _Want) -> bool:
        """Whether there is less than somebody wants: in all, or without the follower, who has to note a lease."""
        there = self._stream.leased_units
        if self._synchronised:
            there += self._stream.available_units + sum(lease.end - lease.start for lease in self._pending)
        return want.units > there

    def _ask_ahead(self) -> None:
        stream = self._stream
        if not self._synchronised or self._sealed or self._pending or not stream.available_units:
            return
        wanted = sum(want.units for want in self._wants if not self._starved(want))
        ahead = self.demand.lease_units()
        if stream.leased_units >= max(wanted, (ahead + 1) // 2):
            return
        lease = stream.lease(wanted + ahead - stream.leased_units)
        if lease is not None:
            self._pending.append(lease)
            self._tell()

    def _tell(self) -> None:
        if self._pending:
            last = self._pending[-1]
            self._send(Leased(last.epoch, last.end))
