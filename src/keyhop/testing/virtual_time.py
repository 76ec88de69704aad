"""Time that a test owns: both clocks and the sleeping of asyncio code under test."""

import asyncio
import heapq
from itertools import count

_SETTLE = 8
"""Rounds of the event loop that a woken task gets to do what it does before its next sleep."""


class VirtualTime:
    """A `Clock` whose time passes only in `advance`; give `sleep` to the code under test."""

    def __init__(self, wall_s: float = 1_700_000_000.0) -> None:
        self._wall_s = wall_s
        self._monotonic_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._wall_s

    def monotonic(self) -> float:
        """Seconds since the start of the test."""
        return self._monotonic_s

    async def sleep(self, delay_s: float) -> None:
        """As `asyncio.sleep`, in virtual seconds."""
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic_s + delay_s, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Lets time pass, waking sleepers in order, each at its time."""
        end_s = self._monotonic_s + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end_s:
            at_s, _, woken = heapq.heappop(self._sleepers)
            self._pass(at_s - self._monotonic_s)
            if not woken.done():
                woken.set_result(None)
            await self._settle()
        self._pass(end_s - self._monotonic_s)

    def stall(self, seconds: float) -> None:
        """Time passes while nobody runs, as when the machine is suspended or the process is starved."""
        self._pass(seconds)

    def step_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock, forward or (negative) back."""
        self._wall_s += seconds

    def _pass(self, seconds: float) -> None:
        seconds = max(0.0, seconds)
        self._wall_s += seconds
        self._monotonic_s += seconds

    @staticmethod
    async def _settle() -> None:
        for _ in range(_SETTLE):
            await asyncio.sleep(0)
