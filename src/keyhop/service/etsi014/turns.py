"""Whose bytes are read and whose request is next: SAEs take turns, so that much of one holds up little of another's.

A turn is one read of a connection, with the request that it completes, or one request that came before. Next is who has
used the least time of late (start-time fair queueing): each turn is tagged with when its SAE's turn before was over, if
the time that all of them have used were divided among them alike; the lowest tag is next. So an SAE that asks for
little waits for the one turn that is under way, however many and however long another one's are.

Turns have a slice of time in each turn of the event loop; what is left over waits while sockets are looked at again. A
turn that may take longer than a slice, by what its SAE's turns took before, is not begun before what was asked is
committed and answered. As long as one SAE has everything for itself, nobody waits for it: it is read at once, and long
slices are cheap, because what happens in one shares a commit. When others ask as well, slices are short, but never
shorter than the commit between them: on a slow disk it would take most of the time.

Of what one SAE has asked for, that which is alike comes in a row. It takes the processor less time than the same in
turn with others: half of each call, a twentieth.
"""

import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from itertools import chain

from keyhop.core.ids import SaeId

SLICE_S = 0.001
"""Long enough for some fifty small requests; short beside what a commit takes on a disk."""
SHARED_SLICE_S = 0.0001
SHARED_FOR_S = 1.0
"""After an SAE has come between another one's turns, or while another one waited."""
_REMEMBERED = 0.9
"""What counts of how long an SAE's turns may take after each turn that took less."""

type Job = Callable[[], None]


class _Jobs:
    """Those of one SAE that wait: first all that were there, alike ones in a row; then what has come meanwhile."""

    def __init__(self) -> None:
        self._now: deque[Job] = deque()
        self._later: dict[bytes, list[Job]] = {}

    def __bool__(self) -> bool:
        return bool(self._now or self._later)

    def add(self, job: Job, kind: bytes) -> None:
        self._later.setdefault(kind, []).append(job)

    def next(self) -> Job:
        if not self._now:
            self._now.extend(chain.from_iterable(self._later.values()))
            self._later.clear()
        return self._now.popleft()


class Turns:
    """`soon` calls something in the next turn of the event loop. Jobs shall not raise."""

    def __init__(self, soon: Callable[[Job], object], now: Callable[[], float] = time.perf_counter) -> None:
        self._soon = soon
        self._now = now
        self._waiting: dict[SaeId | None, _Jobs] = {}
        self._next: list[tuple[float, int, SaeId | None]] = []  # a heap: tag and number of each one's next turn
        self._number = 0
        self._tag_s = 0.0  # of the turn that is under way, or was
        self._over_s: dict[SaeId | None, float] = {}  # when those who do not wait could have their next turn
        self._may_take_s: dict[SaeId | None, float] = {}
        self._awake = self._begins_long = False
        self._last: SaeId | None = None
        self._shared_until = now()
        self._after_slice: float | None = None
        self.shared = False
        """Whether more than one SAE has asked lately."""

    def is_shared_by(self, sae: SaeId | None) -> bool:
        """The same, now that this one has sent something: who never comes to ask is noticed as well."""
        if sae != self._last:
            self._notice(sae)
        return self.shared

    def enter(self, sae: SaeId | None, job: Job, kind: bytes = b"") -> None:
        """Does the job when it is this SAE's turn; its own of one kind in their order."""
        jobs = self._waiting.get(sae)
        if jobs is not None:
            jobs.add(job, kind)
            return
        jobs = self._waiting[sae] = _Jobs()
        jobs.add(job, kind)
        if sae != self._last or self._next:
            self._notice(sae)
        tag_s = self._over_s.get(sae, 0.0)
        heappush(self._next, (tag_s if tag_s > self._tag_s else self._tag_s, self._number, sae))
        self._number += 1
        if not self._awake:
            self._awake = True
            self._after_slice = None
            self._soon(self._work)

    def _notice(self, sae: SaeId | None) -> None:
        self._last = sae
        self._shared_until = self._now() + SHARED_FOR_S
        self.shared = True

    def _work(self) -> None:
        began = self._now()
        until = self._end_of_slice(began)
        try:
            if self.shared:
                self._soon(self._put_off)
                self._take_turns_of_many(began, until)
            else:
                while self._next and began < until:
                    began = self._take_turn(began)
        finally:
            self._awake = bool(self._next)
            if self._awake:
                self._soon(self._work)

    def _take_turns_of_many(self, began: float, until: float) -> None:
        """A long turn is the first of its slice, and waits for the next one: that comes after what was put off."""
        begins, self._begins_long = self._begins_long, False
        is_first = True
        while self._next and began < until:
            sae = self._next[0][2]
            may_take_s = self._may_take_s.get(sae, 0.0)
            if may_take_s > SHARED_SLICE_S and not begins:
                self._begins_long = is_first
                return
            is_first = begins = False
            ended = self._take_turn(began)
            self._may_take_s[sae] = max(ended - began, may_take_s * _REMEMBERED)
            began = ended

    def _take_turn(self, began: float) -> float:
        """The next one; when it is over."""
        self._tag_s, _, sae = self._next[0]
        jobs = self._waiting[sae]
        try:
            jobs.next()()
        finally:
            ended = self._now()
            over_s = self._tag_s + ended - began
            if jobs:
                heapreplace(self._next, (over_s, self._number, sae))  # those who came meanwhile are behind it
                self._number += 1
            else:
                heappop(self._next)
                del self._waiting[sae]
                self._over_s[sae] = over_s
        return ended

    def _put_off(self) -> None:
        """For a second turn of the event loop, as the commit is (`node.commits`)."""
        self._soon(self._slice_is_over)

    def _slice_is_over(self) -> None:
        """Comes before what the slice's jobs have put off, such as the commit, and after sockets were looked at."""
        self._after_slice = self._now()

    def _end_of_slice(self, now: float) -> float:
        self.shared = now < self._shared_until
        if not self.shared:
            return now + SLICE_S
        put_off_s = 0.0 if self._after_slice is None else now - self._after_slice
        return now + min(max(put_off_s, SHARED_SLICE_S), SLICE_S)
