"""Whose bytes are read and whose request is next: SAEs take turns, so that much of one holds up little of another's.

A turn is one read of a connection, with the request that it completes, or one request that came before. Turns have a
slice of time in each turn of the event loop; what is left over waits while sockets are looked at again, and with it
whoever came meanwhile has a place in the round. So an SAE waits for one turn of each other SAE that is waiting, and for
two slices: its answer leaves when the slice is over and what it did is noted durably.

As long as one SAE has everything for itself, nobody waits for it: it is read at once, and long slices are cheap,
because what happens in one shares a commit. When others ask as well, slices are short, but never shorter than what the
event loop does between them: that is the commit, and on a slow disk it would take most of the time.
"""

import time
from collections import deque
from collections.abc import Callable

from keyhop.core.ids import SaeId

SLICE_S = 0.001
"""Long enough for some fifty small requests; short beside what a commit takes on a disk."""
SHARED_SLICE_S = 0.0001
SHARED_FOR_S = 1.0
"""After an SAE has come between another one's turns."""

type Job = Callable[[], None]


class Turns:
    """`soon` calls something in the next turn of the event loop. Jobs shall not raise."""

    def __init__(self, soon: Callable[[Job], object], now: Callable[[], float] = time.perf_counter) -> None:
        self._soon = soon
        self._now = now
        self._waiting: dict[SaeId | None, deque[Job]] = {}  # whose turn is next is the first
        self._awake = False
        self._last: SaeId | None = None
        self._served: SaeId | None = None
        self._shared_until = self._slice_ended = now()
        self.shared = False
        """Whether more than one SAE has asked lately."""

    def enter(self, sae: SaeId | None, job: Job) -> None:
        """Does the job when it is this SAE's turn; an SAE's own jobs in their order."""
        jobs = self._waiting.get(sae)
        if jobs is not None:
            jobs.append(job)
            return
        self._waiting[sae] = deque((job,))
        if sae != self._last:
            self._last = sae
            self._shared_until = self._now() + SHARED_FOR_S
            self.shared = True
        if not self._awake:
            self._awake = True
            self._slice_ended = self._now()
            self._soon(self._work)

    def _work(self) -> None:
        waiting, now = self._waiting, self._now
        until = self._end_of_slice(now())
        try:
            while waiting:
                sae = self._next()
                jobs = waiting[sae]
                job = jobs.popleft()
                if not jobs:
                    del waiting[sae]
                self._served = sae
                job()
                if now() >= until:
                    break
        finally:
            self._awake = bool(waiting)
            if self._awake:
                self._slice_ended = now()
                self._soon(self._work)

    def _next(self) -> SaeId | None:
        """Whose turn it is: that of who waits for longest, but nobody has two in a row while others wait."""
        waiting = self._waiting
        sae = next(iter(waiting))
        if sae == self._served and len(waiting) > 1:
            waiting[sae] = waiting.pop(sae)
            sae = next(iter(waiting))
        return sae

    def _end_of_slice(self, now: float) -> float:
        self.shared = now < self._shared_until
        if not self.shared:
            return now + SLICE_S
        return now + min(max(now - self._slice_ended, SHARED_SLICE_S), SLICE_S)
