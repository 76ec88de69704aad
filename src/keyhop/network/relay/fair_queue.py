"""Who is next: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) within strict priorities.

Each flow has a virtual time, which moves on by the size over the weight of what it asks for; the flow that is furthest
behind is next. So flows that always ask get shares of what there is by their weights, and who asks for less gets all
of it: max-min fairness at one queue. Who has not asked for long has saved nothing up.

What is waited for may have a head start, as in borrowed-virtual-time scheduling (Duda and Cheriton, SOSP 1999): it
comes before others, and its flow pays for it later. So no flow is ahead of its share by more than a head start.
"""

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import NamedTuple

_MOST_STALE = 64
"""So many entries that were removed may be in a heap, beside as many as wait."""


class _Entry[Flow: Hashable, Item](NamedTuple):
    """In the order in which they are next: what is less comes first."""

    inverse: int
    start: float
    place: int
    flow: Flow
    item: Item
    size: int
    passes: bool


class FairQueue[Flow: Hashable, Item]:
    """Items of flows, each with a priority from 0 on; the highest is served first."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Entry[Flow, Item]] = {}
        """By their places."""
        self._heap: list[_Entry[Flow, Item]] = []
        self._passing: list[_Entry[Flow, Item]] = []
        """A heap as well, of those that `first_passing` finds. Both have entries that wait no more."""
        self._last: _Entry[Flow, Item] | None = None
        self.size = 0
        """Of all that wait."""
        self._sequence = count()
        self._now: dict[int, float] = {}
        """The virtual time of each priority."""
        self._flows: dict[tuple[int, Flow], float] = {}
        """When, in virtual time, a flow may go on; without those that are behind."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(
        self,
        flow: Flow,
        priority: int,
        weight: float,
        size: int,
        item: Item,
        *,
        head_start: int = 0,
        passes: bool = False,
    ) -> int:
        """Behind all others of its flow, but for those whose head start is smaller. Returns its place."""
        key = (priority, flow)
        start = max(self._flows.get(key, 0.0), self._now.get(priority, 0.0))
        self._flows[key] = start + size / weight
        place = next(self._sequence)
        self._push(_Entry(-priority, start - head_start / weight, place, flow, item, size, passes))
        return place

    def pop(self) -> Item:
        """The next one. Raises IndexError when there is none."""
        self._clean(self._heap)
        self._last = entry = heappop(self._heap)
        del self._waiting[entry.place]
        self._clean(self._passing)
        self.size -= entry.size
        priority = -entry.inverse
        self._now[priority] = max(entry.start, self._now.get(priority, 0.0))
        if not self._waiting:
            self._begin_anew()
        return entry.item

    def put_back(self) -> bool:
        """What was popped last waits again if something has come that is before it; whether that is so."""
        self._clean(self._heap)
        if self._last is None or not self._heap or self._last < self._heap[0]:
            return False
        self._push(self._last)
        self._last = None
        return True

    def rest(self) -> None:
        """Nobody waits any more, nor what was popped last: no flow is ahead of others."""
        self._flows.clear()
        self._now.clear()

    def remove(self, place: int) -> None:
        """What has that place waits no more; the others keep theirs. Harmless when it does not wait."""
        entry = self._waiting.pop(place, None)
        if entry is None:
            return
        self.size -= entry.size
        if len(self._heap) > 2 * len(self._waiting) + _MOST_STALE:
            self._heap = list(self._waiting.values())
            self._passing = [entry for entry in self._heap if entry.passes]
            heapify(self._heap)
            heapify(self._passing)

    def first_passing(self) -> Item | None:
        """Of those that were added as such the first one that will be next; it stays."""
        self._clean(self._passing)
        return self._passing[0].item if self._passing else None

    def items(self) -> list[Item]:
        """Those that wait, in no order."""
        return [entry.item for entry in self._waiting.values()]

    def latest(self) -> list[Item]:
        """Those that wait, the last that came first."""
        return [self._waiting[place].item for place in sorted(self._waiting, reverse=True)]

    def _push(self, entry: _Entry[Flow, Item]) -> None:
        self._waiting[entry.place] = entry
        self.size += entry.size
        heappush(self._heap, entry)
        if entry.passes:
            heappush(self._passing, entry)

    def _clean(self, heap: list[_Entry[Flow, Item]]) -> None:
        """The first of a heap is one that waits."""
        while heap and heap[0].place not in self._waiting:
            heappop(heap)

    def _begin_anew(self) -> None:
        """Flows that are ahead stay so; the others need no remembering."""
        self._flows = {
            (priority, flow): at for (priority, flow), at in self._flows.items() if at > self._now.get(priority, 0.0)
        }
