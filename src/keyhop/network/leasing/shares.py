"""Who may take how much of a stream. Pure bookkeeping: where the bytes are, in the store or leased, is `leasing`'s.

What can still be taken is split into what is common, the floors that are reserved, one for each pair of SAEs, and what
is kept for pads that somebody waits for:

    stock = common + floors + pads

 1. A pair takes what is common, and when that is used up its own floor; never another's. So there is always something
    that somebody may take. Uses without a pair, which are pads of relayed keys, take what is common, and when that is
    used up what was kept for them.
 2. What comes fills the floors first, so nothing is common while a floor has room. Half of it goes to those that had
    to ask for theirs, in equal parts, half to all others; what one half has no room for goes to the other half. So who
    asks most gets no more than the others who ask, and those who never asked find something when they do. What does not
    come to a unit for each of these is nobody's, and goes to the next who has to ask.
 3. While pads are waited for, half of what comes is kept for them, until it is enough for all: so SAEs here do not keep
    those of other KMEs from being served over this one, nor the other way round. Floors are filled from the other half.
 4. Of what is common, pads that spare it leave a part that is kept back: keys of others that are relayed ahead do not
    empty a link in one burst, so SAEs at its ends, and what is urgent, find something. Once these have used that up
    the link lacks for all, and nothing is kept back until there is twice as much.
 5. When stock is lost, all floors begin anew with equal parts of what is left.

Amounts are in units.
"""

from typing import Protocol

from keyhop.core.ids import SaePair

USED_UP = 4
"""Of what is kept back only so small a part is left."""


class Pairs(Protocol):
    """Those that have floors."""

    def __len__(self) -> int: ...

    def __contains__(self, pair: SaePair, /) -> bool: ...


class Shares:
    """The shares of one stream. Only pairs that had to ask are remembered, until all floors are full."""

    def __init__(self) -> None:
        self.common = 0
        self.floor_units = 0
        self._pairs: Pairs = ()
        self._count = 0
        self._asking: dict[SaePair, int] = {}
        self._asked = 0
        self._others = 0
        self._pads = 0
        self._expected = 0
        self.kept_back = 0
        """What pads that spare it leave of what is common, unless it was used up."""
        self._keeps_back = False

    @property
    def stock(self) -> int:
        """What there is, common and reserved."""
        return self.common + self._asked + self._others + self._pads

    def reserve(self, floor_units: int, pairs: Pairs) -> None:
        """So much is reserved from now on for each of these pairs.

        Those that did not ask are alike, so others in their place change nothing.
        """
        before, self._pairs = (self.floor_units, self._count), pairs
        self.floor_units, self._count = now = floor_units, len(pairs)
        if now != before or not all(pair in pairs for pair in self._asking):
            self._begin_anew(self.stock)

    def settle(self, stock: int) -> None:
        """The stock is so large now: some came, or was lost."""
        came = stock - self.stock
        self.common += came
        if self.common < 0:
            self._begin_anew(stock)
        else:
            self._keep_for_pads(came)
            self._fill()
        self._look_back()

    def entitled(self, pair: SaePair | None, *, sparing: bool = False) -> int:
        """What the pair may take; None: a pad."""
        if pair is None:
            return self._open(sparing) + self._pads
        floor = self._asking.get(pair)
        if floor is None:
            floor = self._part() if pair in self._pairs else 0
        return self.common + floor

    def ask(self, pair: SaePair) -> None:
        """The pair may not take what it wants: from now on it gets its part of what comes to those who ask."""
        if pair not in self._asking and pair in self._pairs:
            nobodys = self._others % (self._count - len(self._asking))
            self._begin_asking(pair, min(self._part() + nobodys, self.floor_units))

    def expect(self, units: int) -> bool:
        """Those who wait for pads want that many together; whether more was kept for them, and is for others now."""
        self._expected = units
        spare = self._pads - units
        if spare > 0:
            self.common += spare
            self._pads = units
        self._fill()
        return spare > 0

    def spend(self, pair: SaePair | None, units: int, *, sparing: bool = False) -> None:
        """The pair took what it is entitled to; None: a pad."""
        of_common = min(units, self._open(sparing))
        self.common -= of_common
        self._look_back()
        if of_common == units:
            return
        if pair is None:
            self._pads -= units - of_common
            return
        if pair not in self._asking:
            self._begin_asking(pair, self._part())
        self._asking[pair] -= units - of_common
        self._asked -= units - of_common

    def _open(self, sparing: bool) -> int:
        return max(self.common - self.kept_back, 0) if sparing and self._keeps_back else self.common

    def _look_back(self) -> None:
        """Whether enough has gathered that some is kept back, or that has been used up."""
        if self.common >= 2 * self.kept_back:
            self._keeps_back = True
        elif self.common < self.kept_back // USED_UP:
            self._keeps_back = False

    def _begin_asking(self, pair: SaePair, floor: int) -> None:
        self._asking[pair] = floor
        self._asked += floor
        self._others -= floor

    def _part(self) -> int:
        """The floor of each of those that did not have to ask."""
        return self._others // (self._count - len(self._asking))

    def _begin_anew(self, stock: int) -> None:
        self._asking.clear()
        self._asked = self._others = self._pads = 0
        self.common = stock
        self._keep_for_pads(stock)
        self._fill()

    def _keep_for_pads(self, came: int) -> None:
        """Half of what came, as far as it is waited for."""
        kept = min(max(came + 1, 0) // 2, self._expected - self._pads)
        self.common -= kept
        self._pads += kept

    def _fill(self) -> None:
        """Moves what is common to the floors, as far as they have room."""
        asking_room = len(self._asking) * self.floor_units - self._asked
        other_room = (self._count - len(self._asking)) * self.floor_units - self._others
        units = min(self.common, asking_room + other_room)
        to_asking = min(asking_room, max((units + 1) // 2, units - other_room))
        self.common -= units
        self._others += units - to_asking
        self._asked += to_asking
        if units == asking_room + other_room:
            self._others += self._asked
            self._asked = 0
            self._asking.clear()
        else:
            self._spread(to_asking)

    def _spread(self, units: int) -> None:
        """Equal parts to all who ask and have room; what cannot be split goes round."""
        asking, full = self._asking, self.floor_units
        needy = [pair for pair, floor in asking.items() if floor < full]
        while needy and units >= len(needy):
            part = min(units // len(needy), full - max(asking[pair] for pair in needy))
            for pair in needy:
                asking[pair] += part
            units -= part * len(needy)
            needy = [pair for pair in needy if asking[pair] < full]
        for pair in needy[:units]:
            asking[pair] = asking.pop(pair) + 1
