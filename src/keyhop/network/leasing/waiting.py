"""Who waits for bytes of a stream, and whom that holds up.

Those who wait are served in their order. One whose bytes only have to be leased holds up all others, for the time of a
message there and back; what it will leave over others may take at once. One who may not have that much yet holds up
nobody, except later requests of its own pair that would keep its floor from ever holding enough. Nor does one for whom
the next bytes will not do (`Admission`): a stream is spent in its order, and what is next is good for others.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from keyhop.core.ids import SaePair
from keyhop.core.ledger import Purpose
from keyhop.core.streams import Admission, Taken

type Use = Callable[[Taken | None], None]
"""Gets the bytes, or None when the wait is over without them."""

type Cancel = Callable[[], None]
"""Who waits no longer wants the bytes. Harmless when the wait is over."""


class Want(NamedTuple):
    """`number` runs of so many bytes, which are `units` together."""

    size_bytes: int
    number: int
    units: int
    purpose: Purpose
    deadline: float
    use: Use
    pair: SaePair | None
    admission: Admission | None
    sparing: bool


class Waiting:
    """In their order. `needs_only_a_lease`: whether there is enough for one, which it may have; `fits_a_floor`: whether
    its pair's floor will hold that much one day."""

    def __init__(self, needs_only_a_lease: Callable[[Want], bool], fits_a_floor: Callable[[Want], bool]) -> None:
        self._needs_only_a_lease = needs_only_a_lease
        self._fits_a_floor = fits_a_floor
        self.wants: deque[Want] = deque()
        self.units = self.pad_units = 0
        """What they want together; and those of them who are of no pair of SAEs."""
        self.lease_awaited = False
        """Whether one of them holds up all others."""
        self.spare_units = 0
        """What others may take before the lease comes: it is enough for those who wait for it all the same."""
        self.floors_awaited: set[SaePair] = set()
        """Pairs of which one holds up later ones."""

    @property
    def have_terms(self) -> bool:
        """Whether for some of them not all bytes will do."""
        return any(want.admission for want in self.wants)

    def holds_up(self, pair: SaePair | None) -> bool:
        """Whether who is of this pair has to wait behind them."""
        return self.lease_awaited or (bool(self.floors_awaited) and pair in self.floors_awaited)

    def lets_pass(self, pair: SaePair | None, units: int) -> bool:
        """Whether who is held up may take so much: nobody who waits has to wait longer for that."""
        return units <= self.spare_units and self.lease_awaited and pair not in self.floors_awaited

    def plan(self, units: int) -> None:
        """So many units can be had without one more lease: what those who wait for it leave of them is spare."""
        self.spare_units = units
        for want in self.wants:
            if self._needs_only_a_lease(want):
                if want.units > self.spare_units:
                    break
                self.spare_units -= want.units

    def keep(self, want: Want) -> None:
        """Lets it wait, and notes whom it holds up."""
        self.wants.append(want)
        self._count(want.pair, want.units)
        if self.holds_up(want.pair):
            return
        if self._needs_only_a_lease(want):
            self.lease_awaited = True
        elif want.pair and self._fits_a_floor(want):
            self.floors_awaited.add(want.pair)

    def forget(self, want: Want) -> bool:
        """It waits no more; whether it did."""
        try:
            self.wants.remove(want)
        except ValueError:
            return False
        self._count(want.pair, -want.units)
        if want.pair in self.floors_awaited and not any(map(self._fits_a_floor, self._those_of(want.pair))):
            self.floors_awaited.discard(want.pair)
        return True

    def has_one_of(self, pair: SaePair, units: int) -> bool:
        """Whether one of that pair waits for so many at most."""
        return any(want.units <= units for want in self._those_of(pair))

    def _those_of(self, pair: SaePair | None) -> Iterator[Want]:
        return (want for want in self.wants if want.pair == pair)

    def take_all(self) -> deque[Want]:
        """Nobody waits any more: these did."""
        wants, self.wants = self.wants, deque()
        self.units = self.pad_units = 0
        self.lease_awaited = False
        self.spare_units = 0
        self.floors_awaited.clear()
        return wants

    def take_late(self, now: float) -> list[Want]:
        """Those whose time is over wait no more."""
        late = [want for want in self.wants if want.deadline <= now]
        if late:
            self.wants = deque(want for want in self.wants if want.deadline > now)
            for want in late:
                self._count(want.pair, -want.units)
        return late

    def lease_units(self, most: int) -> int:
        """What they need a lease for, the first at least: the others have the next one if it is more than `most`."""
        units = 0
        if self.lease_awaited:
            for want in self.wants:
                if self._needs_only_a_lease(want):
                    if units and units + want.units > most:
                        break
                    units += want.units
        return units

    def _count(self, pair: SaePair | None, units: int) -> None:
        self.units += units
        if pair is None:
            self.pad_units += units
