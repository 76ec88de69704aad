"""Takes from one owned stream: at once what is leased, else when a lease has come."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import SaePair
from keyhop.core.ledger import Purpose
from keyhop.core.streams import Admission, OwnedStream, Taken
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.network.leasing.ahead import Ahead
from keyhop.network.leasing.demand import MOST_UNITS
from keyhop.network.leasing.shares import Pairs, Shares
from keyhop.network.leasing.waiting import Cancel, Use, Waiting, Want
from keyhop.network.wire import Body, LeaseNoted

KEPT_BACK_S = 1.0
"""What the link brings in so long, for both of its streams, is left by keys of others that are relayed ahead."""


class Leasing:
    """Who may have what he wants gets it; the others wait."""

    def __init__(self, stream: OwnedStream, clock: Clock, send: Callable[[Body], None]) -> None:
        self._stream = stream
        self._clock = clock
        self._synchronised = False
        self._sealed = False
        self._ahead = Ahead(stream, clock, send)
        self._waiting = Waiting(self._needs_only_a_lease, self._fits_a_floor)
        self.demand = self._ahead.demand
        self._pads_behind = self._most_kept_back = 0
        self._shares = Shares()
        self._shares.settle(stream.stock_units)
        self._when_served: Callable[[], None] = lambda: None

    def when_served(self, call: Callable[[], None]) -> None:
        """Calls that whenever those who wait have had what they may have now."""
        self._when_served = call

    def reserve(self, bytes_per_pair: int, pairs: Pairs, usual_bytes: int) -> None:
        """Reserves so much for each of these pairs of SAEs, and half of what the stock usually is in all at most."""
        most = usual_bytes // UNIT_BYTES // 2 // max(len(pairs), 1)
        self._most_kept_back = usual_bytes // UNIT_BYTES // 4
        self._shares.reserve(min(bytes_per_pair // UNIT_BYTES, most), pairs)
        self._serve()

    @property
    def waiting_units(self) -> int:
        """What those who wait want."""
        return self._waiting.units

    def entitled_units(self, pair: SaePair | None) -> int:
        """What this pair may take of what there is; None: what pads for keys of others may."""
        return self._shares.entitled(pair)

    @property
    def common_units(self) -> int:
        """What anybody may take."""
        return self._shares.common

    @property
    def spare_units(self) -> int:
        """What pads for keys of others may take of what there is, beside those that wait."""
        return max(self._shares.entitled(None, sparing=True) - self._pad_units, 0)

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
        *,
        sparing: bool = False,
    ) -> Taken | None:
        """The next bytes at once, or None: then `wait`."""
        if self._sealed:
            return None
        if self._waiting.holds_up(pair):
            return self._pass(size_bytes, count, purpose, pair, admission, sparing=sparing)
        taken = self._take(size_bytes, count, purpose, pair, admission, sparing=sparing)
        if taken is not None and self._stream.leased_units < self._ahead.enough_units:
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
        *,
        sparing: bool = False,
    ) -> Cancel:
        """Calls `use` when the bytes have come, or with None at the deadline (monotonic seconds).

        A pad that is `sparing` leaves what is kept back for SAEs at the ends and for what is urgent.
        """
        taken = self.take(size_bytes, count, purpose, pair, admission, sparing=sparing)
        if taken is not None or self._sealed:
            use(taken)
            return lambda: None
        units = units_for(size_bytes) * count
        want = Want(size_bytes, count, units, purpose, deadline, use, pair, admission, sparing)
        if pair is not None and want.units > self._shares.entitled(pair):
            self._shares.ask(pair)
            taken = self.take(size_bytes, count, purpose, pair, admission)
            if taken is not None:
                use(taken)
                return lambda: None
        self._waiting.keep(want)
        if pair is None and self._shares.expect(self._pad_units):
            self._serve()
        self._ask_ahead()
        return partial(self._cancel, want)

    def expect_pads(self, units: int) -> None:
        """So much is wanted by those who will come and wait for pads one after the other."""
        if units != self._pads_behind:
            self._pads_behind = units
            if self._shares.expect(self._pad_units):
                self._serve()

    def synchronised(self) -> None:
        """A session begins: leases that the follower may not have noted are told again."""
        self._synchronised = True
        self._ahead.tell()
        self._serve()

    def interrupted(self) -> None:
        """The session is over; noted leases can still be used."""
        self._synchronised = False
        self._serve()

    def stock_changed(self) -> None:
        """The stream has more, or has lost some."""
        self._keep_back()
        self._shares.settle(self._stream.stock_units)
        self._serve()

    def noted(self, message: LeaseNoted) -> None:
        """The follower knows the lease: its bytes can be used."""
        self._ahead.noted(message)
        self._serve()

    def epoch_closed(self) -> None:
        """The stream began anew: what was leased is gone."""
        self._ahead.forget()
        self.stock_changed()

    def seal(self) -> tuple[int, int] | None:
        """Stops all taking and voids the rest of the lease; returns its range."""
        self.abandon()
        self._ahead.forget()
        return self._stream.seal()

    def abandon(self) -> None:
        """Takes nothing more, and tells those who wait."""
        self._sealed = True
        for want in self._waiting.take_all():
            with suppress(StoreFailure):  # who has to undo something finds that the journal takes nothing any more
                want.use(None)

    def tick(self) -> None:
        """Gives up on those whose time is over; tells unnoted leases again."""
        before = self._shares.kept_back
        self._keep_back()
        late = self._waiting.take_late(self._clock.monotonic())
        for want in late:
            want.use(None)
        # others may have used up what would not do
        if late or self._waiting.have_terms or self._shares.kept_back < before:
            self._serve()
        if self._synchronised:
            self._ahead.tell()
            self._ahead.tell_of_voided()
            self._ask_ahead()

    def _take(
        self,
        size_bytes: int,
        count: int,
        purpose: Purpose,
        pair: SaePair | None,
        admission: Admission | None,
        *,
        sparing: bool = False,
    ) -> Taken | None:
        units, shares = units_for(size_bytes) * count, self._shares
        if (sparing or units > shares.common) and units > shares.entitled(pair, sparing=sparing):
            return None
        if admission is not None and not self.meets(admission, units):
            return None
        taken = self._stream.take(size_bytes, count, purpose)
        if taken is not None:
            shares.spend(pair, units, sparing=sparing)
            self.demand.took(units)
        return taken

    def _pass(
        self,
        size_bytes: int,
        count: int,
        purpose: Purpose,
        pair: SaePair | None,
        admission: Admission | None,
        *,
        sparing: bool,
    ) -> Taken | None:
        """Takes what those who wait for a lease leave over."""
        waiting, units = self._waiting, units_for(size_bytes) * count
        if not waiting.lets_pass(pair, units):
            return None
        taken = self._take(size_bytes, count, purpose, pair, admission, sparing=sparing)
        if taken is not None:
            waiting.spare_units -= units
        return taken

    def _serve(self) -> None:
        """Gives those who wait what they may have now, in their order."""
        served = self._served()
        while self._shares.expect(self._pad_units):
            served += self._served()
        for want, taken in served:
            want.use(taken)
        self._when_served()
        self._ask_ahead()

    def _served(self) -> list[tuple[Want, Taken]]:
        """Those who wait no more, and what they have."""
        waiting = self._waiting
        served: list[tuple[Want, Taken]] = []
        for want in waiting.take_all():
            taken = None
            if not waiting.holds_up(want.pair):
                what = (want.size_bytes, want.number, want.purpose, want.pair, want.admission)
                taken = self._take(*what, sparing=want.sparing)
            if taken is None:
                waiting.keep(want)
            else:
                served.append((want, taken))
        return served

    @property
    def _pad_units(self) -> int:
        return self._waiting.pad_units + self._pads_behind

    def _cancel(self, want: Want) -> None:
        waiting, pair = self._waiting, want.pair
        if not waiting.forget(want):  # its wait is over
            return
        if pair is None or waiting.lease_awaited or waiting.has_one_of(pair, self._shares.entitled(pair)):
            self._serve()  # else it held up nobody: who is served by one stream gives up his wait for another one

    def _needs_only_a_lease(self, want: Want) -> bool:
        """Whether it may have what it wants, and there is that much: for a new lease the follower is needed."""
        there = self._stream.stock_units if self._synchronised else self._stream.leased_units
        if want.units > there or want.units > self._shares.entitled(want.pair, sparing=want.sparing):
            return False
        return self.meets(want.admission, want.units)

    def _keep_back(self) -> None:
        self._shares.kept_back = min(self.demand.brought_within(KEPT_BACK_S), self._most_kept_back)

    def _fits_a_floor(self, want: Want) -> bool:
        return want.units <= self._shares.floor_units and self.meets(want.admission, want.units)

    def _ask_ahead(self) -> None:
        if self._synchronised and not self._sealed:
            waiting = self._waiting
            if not self._ahead.asked_units:  # else the next one is asked for when that has come: many may wait by then
                self._ahead.ask(waiting.lease_units(MOST_UNITS))
            if waiting.lease_awaited:
                waiting.plan(min(self._stream.leased_units + self._ahead.asked_units, self._shares.common))
