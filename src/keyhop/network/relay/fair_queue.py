"""Who is next: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) within strict priorities.

Each flow has a virtual time, which moves on by the size over the weight of what it asks for; the flow that is furthest
behind is next. So flows that always ask get shares of what there is by their weights, and who asks for less gets all
of it: max-min fairness at one queue. Who has not asked for long has saved nothing up.

What is waited for may have a head start, as in borrowed-virtual-time scheduling (Duda and Cheriton, SOSP 1999): it
comes before others, and its flow pays for it later. So no flow is ahead of its share by more than a head start.
"""

from collections.abc import Callable, Hashable
from heapq import heappop, heappush
from itertools import count


class FairQueue[Flow: Hashable, Item]:
    """Items of flows, each with a priority from 0 on; the highest is served first."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, float, int, Flow, Item, int]] = []
        self._last: tuple[int, float, int, Flow, Item, int] | None = None
        self.size = 0
        """Of all that wait."""
        self._sequence = count()
        self._now: dict[int, float] = {}
        """The virtual time of each priority."""
        self._flows: dict[tuple[int, Flow], float] = {}
        """When, in virtual time, a flow may go on; without those that are behind."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, flow: Flow, priority: int, weight: float, size: int, item: Item, *, head_start: int = 0) -> None:
        """Behind all others of its flow, but for those whose head start is smaller."""
        key = (priority, flow)
        start = max(self._flows.get(key, 0.0), self._now.get(priority, 0.0))
        self._flows[key] = start + size / weight
        heappush(self._waiting, (-priority, start - head_start / weight, next(self._sequence), flow, item, size))
        self.size += size

    def pop(self) -> Item:
        """The next one. Raises IndexError when there is none."""
        self._last = heappop(self._waiting)
        inverse, start, _, _, item, size = self._last
        self.size -= size
        priority = -inverse
        self._now[priority] = max(start, self._now.get(priority, 0.0))
        if not self._waiting:
            self._begin_anew()
        return item

    def put_back(self) -> bool:
        """What was popped last waits again if something has come that is before it; whether that is so."""
        if self._last is None or not self._waiting or self._last < self._waiting[0]:
            return False
        heappush(self._waiting, self._last)
        self.size += self._last[5]
        self._last = None
        return True

    def rest(self) -> None:
        """Nobody waits any more, nor what was popped last: no flow is ahead of others."""
        self._flows.clear()
        self._now.clear()

    def keep(self, items: "list[Item]") -> None:
        """Drops all but these, whose places stay."""
        kept = {id(item) for item in items}
        waiting, self._waiting = self._waiting, []
        for entry in waiting:
            if id(entry[4]) in kept:
                heappush(self._waiting, entry)
        self.size = sum(entry[5] for entry in self._waiting)

    def first_of(self, is_meant: Callable[[Item], bool]) -> Item | None:
        """The first one of these that will be next; it stays."""
        first = min((entry for entry in self._waiting if is_meant(entry[4])), default=None)
        return first[4] if first else None

    def items(self) -> list[Item]:
        """Those that wait, in no order."""
        return [entry[4] for entry in self._waiting]

    def latest(self) -> list[Item]:
        """Those that wait, the last that came first."""
        return [entry[4] for entry in sorted(self._waiting, key=lambda entry: -entry[2])]

    def _begin_anew(self) -> None:
        """Flows that are ahead stay so; the others need no remembering."""
        self._flows = {
            (priority, flow): at for (priority, flow), at in self._flows.items() if at > self._now.get(priority, 0.0)
        }
