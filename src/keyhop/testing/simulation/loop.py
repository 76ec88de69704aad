"""A discrete-event loop on virtual time."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count


class Loop:
    """What happens next is the earliest event; of equal ones, the one that was noted first."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.halted = False
        self.events = 0
        self._order = count()
        self._heap: list[tuple[float, int, Callable[[], object]]] = []

    def at(self, when: float, happens: Callable[[], object]) -> None:
        """Lets something happen at a time that is not over yet."""
        heappush(self._heap, (max(when, self.now), next(self._order), happens))

    def after(self, seconds: float, happens: Callable[[], object]) -> None:
        """Lets something happen some seconds from now."""
        self.at(self.now + seconds, happens)

    def run(self, seconds: float) -> None:
        """Lets virtual time pass, with everything that falls into it; less when somebody halts the loop."""
        until = self.now + seconds
        heap = self._heap
        while heap and heap[0][0] <= until and not self.halted:
            self.now, _, happens = heappop(heap)
            self.events += 1
            happens()
        if not self.halted:
            self.now = until
