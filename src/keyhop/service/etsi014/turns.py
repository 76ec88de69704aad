"""Whose request is next: SAEs take turns, one request each, so that many requests of one do not hold up another's.

All sockets that have bytes are read before any request is put to the service. Requests then have a slice of time in
each turn of the event loop; what is left over waits while sockets are read again, and with it whoever came meanwhile
has a place in the round. So an SAE waits for one request of each other SAE that is waiting, and for one slice.
"""

import time
from collections import deque
from collections.abc import Callable

from keyhop.core.ids import SaeId

SLICE_S = 0.001
"""Long enough for some fifty small requests, which then share a commit; short beside what a commit takes on a disk."""

type Job = Callable[[], None]


class Turns:
    """`soon` calls something in the next turn of the event loop. Jobs shall not raise."""

    def __init__(self, soon: Callable[[Job], object], now: Callable[[], float] = time.perf_counter) -> None:
        self._soon = soon
        self._now = now
        self._waiting: dict[SaeId | None, deque[Job]] = {}  # whose turn is next is the first
        self._awake = False

    def enter(self, sae: SaeId | None, job: Job) -> None:
        """Does the job when it is this SAE's turn; an SAE's own jobs in their order."""
        jobs = self._waiting.get(sae)
        if jobs is not None:
            jobs.append(job)
            return
        self._waiting[sae] = deque((job,))
        if not self._awake:
            self._awake = True
            self._soon(self._work)

    def _work(self) -> None:
        waiting, now = self._waiting, self._now
        until = now() + SLICE_S
        try:
            while waiting:
                sae, jobs = next(iter(waiting.items()))
                job = jobs.popleft()
                if not jobs:
                    del waiting[sae]
                elif len(waiting) > 1:  # to the end of the round
                    del waiting[sae]
                    waiting[sae] = jobs
                job()
                if now() >= until:
                    break
        finally:
            self._awake = bool(waiting)
            if self._awake:
                self._soon(self._work)
