"""Stream bytes → uses: leases that the follower has noted, and who waits for them.

A lease is asked for ahead of its use, sized from demand (`demand`), so that a crash burns seconds of key at most and
a request normally finds its bytes in memory. Who may take how much of what there is, leased or not, is another matter:
`shares` says that.

Those who wait are served in their order. One whose bytes only have to be leased holds up all others, for the time of a
message there and back. One who may not have that much yet holds up nobody, except later requests of its own pair that
would keep its floor from ever holding enough. Nor does one for whom the next bytes will not do (`Admission`): a stream
is spent in its order, and what is next is good for others.
"""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import SaePair
from keyhop.core.ledger import Purpose
from keyhop.core.streams import ID_KEY_UNITS, Admission, Lease, OwnedStream, Taken
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.network.demand import MOST_UNITS, Demand
from keyhop.network.shares import Pairs, Shares
from keyhop.network.wire import Body, Leased, LeaseNoted

type Use = Callable[[Taken | None], None]
"""Gets the bytes, or None when the wait is over without them."""

type Cancel = Callable[[], None]
"""Who waits no longer wants the bytes. Harmless when the wait is over."""


class _Want(NamedTuple):
    size_bytes: int
    number: int
    units: int
    purpose: Purpose
    deadline: float
    use: Use
    pair: SaePair | None
    admission: Admission | None


class Leasing:
    """Takes from one owned stream."""

    def __init__(self, stream: OwnedStream, clock: Clock, send: Callable[[Body], None]) -> None:
        self._stream = stream
        self._clock = clock
        self._send = send
        self._synchronised = False
        self._sealed = False
        self._pending: deque[Lease] = deque()
        self._asked_at = 0.0
        self._wants: deque[_Want] = deque()
        self._lease_awaited = False
        """Whether one of those who wait holds up all others."""
        self._floors_awaited: set[SaePair] = set()
        """Pairs of which one who waits holds up later ones."""
        self._enough_units = 0
        """With fewer leased units it is time to see how much to lease."""
        self.demand = Demand(clock)
        self._shares = Shares()
        self._shares.settle(stream.stock_units)
        self._noted = (0, 0)

    def reserve(self, bytes_per_pair: int, pairs: Pairs, usual_bytes: int) -> None:
        """Reserves so much for each of these pairs of SAEs, and half of what the stock usually is in all at most."""
        most = usual_bytes // UNIT_BYTES // 2 // max(len(pairs), 1)
        self._shares.reserve(min(bytes_per_pair // UNIT_BYTES, most), pairs)
        self._serve()

    @property
    def waiting_units(self) -> int:
        """What those who wait want."""
        return sum(want.units for want in self._wants)

    def entitled_units(self, pair: SaePair | None) -> int:
        """What this pair may take of what there is; None: what pads for keys of others may."""
        return self._shares.entitled(pair)

    def is_kept_from(self, pair: SaePair, size_bytes: int, count: int) -> bool:
        """Whether there would be enough for this pair, were it not reserved for others."""
        return self._shares.entitled(pair) < units_for(size_bytes) * count <= self._shares.stock

    def meets(self, admission: Admission | None, units: int) -> bool:
        """Whether the next so many units may be taken, as far as they are there."""
        if admission is None:
            return True
        now = self._clock.wall()
        return all(admission.admits(age, now) for age in self._stream.ages(units))

    def take(
        self,
        size_bytes: int,
        count: int,
        purpose: Purpose,
        pair: SaePair | None = None,
        admission: Admission | None = None,
    ) -> Taken | None:
        """The next bytes at once, or None: then `wait`."""
        if self._sealed or self._lease_awaited or (self._floors_awaited and pair in self._floors_awaited):
            return None
        taken = self._take(size_bytes, count, purpose, pair, admission)
        if taken is not None and self._stream.leased_units < self._enough_units:
            self._ask_ahead()
        return taken

    def wait(
        self,
        size_bytes: int,
        count: int,
        purpose: Purpose,
        deadline: float,
        use: Use,
        pair: SaePair | None = None,
        admission: Admission | None = None,
    ) -> Cancel:
        """Calls `use` when the bytes have come, or with None at the deadline (monotonic seconds)."""
        taken = self.take(size_bytes, count, purpose, pair, admission)
        if taken is not None or self._sealed:
            use(taken)
            return lambda: None
        want = _Want(size_bytes, count, units_for(size_bytes) * count, purpose, deadline, use, pair, admission)
        if want.units > self._shares.entitled(pair):
            if pair is not None:
                self._shares.ask(pair)
            else:
                self._expect_pads((*self._wants, want))
        self._keep(want)
        self._ask_ahead()
        return partial(self._cancel, want)

    def synchronised(self) -> None:
        """A session begins: leases that the follower may not have noted are told again."""
        self._synchronised = True
        self._tell()
        self._serve()

    def interrupted(self) -> None:
        """The session is over; noted leases can still be used."""
        self._synchronised = False
        self._serve()

    def stock_changed(self) -> None:
        """The stream has more, or has lost some."""
        self._shares.settle(self._stream.stock_units)
        self._serve()

    def noted(self, message: LeaseNoted) -> None:
        """The follower knows the lease: its bytes can be used."""
        self._noted = max(self._noted, (message.epoch, message.taken))
        while self._pending and (self._pending[0].epoch, self._pending[0].end) <= (
            message.epoch,
            message.taken,
        ):
            self._stream.activate(self._pending.popleft())
            self.demand.answered(self._clock.monotonic() - self._asked_at)
        self._serve()

    def epoch_closed(self) -> None:
        """The stream began anew: what was leased is gone."""
        self._pending.clear()
        self.stock_changed()

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
            with suppress(StoreFailure):  # who has to undo something finds that the journal takes nothing any more
                want.use(None)

    def tick(self) -> None:
        """Gives up on those whose time is over; tells unnoted leases again."""
        now = self._clock.monotonic()
        late = [want for want in self._wants if want.deadline <= now]
        if late:
            self._wants = deque(want for want in self._wants if want.deadline > now)
            for want in late:
                want.use(None)
        if late or any(want.admission for want in self._wants):  # others may have used up what would not do
            self._serve()
        if self._synchronised:
            self._tell()
            self._tell_of_voided()
            self._ask_ahead()

    def _take(
        self, size_bytes: int, count: int, purpose: Purpose, pair: SaePair | None, admission: Admission | None
    ) -> Taken | None:
        units, shares = units_for(size_bytes) * count, self._shares
        if units > shares.common and units > shares.entitled(pair):
            return None
        if admission is not None and not self.meets(admission, units):
            return None
        taken = self._stream.take(size_bytes, count, purpose)
        if taken is not None:
            shares.spend(pair, units)
            self.demand.took(units)
        return taken

    def _serve(self) -> None:
        """Gives those who wait what they may have now, in their order."""
        waiting, self._wants = self._wants, deque()
        self._lease_awaited = False
        self._floors_awaited.clear()
        served: list[tuple[_Want, Taken]] = []
        for want in waiting:
            held_up = self._lease_awaited or want.pair in self._floors_awaited
            taken = None
            if not held_up:
                taken = self._take(want.size_bytes, want.number, want.purpose, want.pair, want.admission)
            if taken is None:
                self._keep(want)
            else:
                served.append((want, taken))
        self._expect_pads(self._wants)
        for want, taken in served:
            want.use(taken)
        self._ask_ahead()

    def _cancel(self, want: _Want) -> None:
        with suppress(ValueError):  # its wait is over
            self._wants.remove(want)
            self._serve()

    def _expect_pads(self, wants: Iterable[_Want]) -> None:
        self._shares.expect(max((want.units for want in wants if want.pair is None), default=0))

    def _keep(self, want: _Want) -> None:
        """Lets it wait, and notes whom it holds up."""
        self._wants.append(want)
        if self._lease_awaited or want.pair in self._floors_awaited:
            return
        if self._needs_only_a_lease(want):
            self._lease_awaited = True
        elif want.pair and want.units <= self._shares.floor_units and self.meets(want.admission, want.units):
            self._floors_awaited.add(want.pair)

    def _needs_only_a_lease(self, want: _Want) -> bool:
        """Whether it may have what it wants, and there is that much: for a new lease the follower is needed."""
        there = self._stream.stock_units if self._synchronised else self._stream.leased_units
        if want.units > there or want.units > self._shares.entitled(want.pair):
            return False
        return self.meets(want.admission, want.units)

    def _ask_ahead(self) -> None:
        stream = self._stream
        if not self._synchronised or self._sealed or self._pending or not stream.available_units:
            return
        wanted = self._wanted_units() if self._lease_awaited else 0
        ahead = self.demand.lease_units()
        self._enough_units = (ahead + 1) // 2
        if stream.leased_units >= max(wanted, self._enough_units):
            return
        lease = stream.lease(wanted + ahead - stream.leased_units)
        if lease is not None:
            self._pending.append(lease)
            self._asked_at = self._clock.monotonic()
            self._tell()

    def _wanted_units(self) -> int:
        """What those who wait need a lease for, the first at least: the others have the next one if it is too much."""
        units = 0
        for want in self._wants:
            if self._needs_only_a_lease(want):
                if units and units + want.units > MOST_UNITS:
                    break
                units += want.units
        return units

    def _tell_of_voided(self) -> None:
        """What was voided is told once; if that is lost, the follower would take it for stock."""
        stream = self._stream
        if not self._pending and stream.taken > ID_KEY_UNITS and (stream.epoch, stream.taken) > self._noted:
            self._send(Leased(stream.epoch, stream.taken))

    def _tell(self) -> None:
        if self._pending:
            last = self._pending[-1]
            self._send(Leased(last.epoch, last.end))
