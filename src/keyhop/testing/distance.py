"""KMEs far apart, on virtual time: a message arrives after the one-way delay between its ends, and in its order.

Computing takes no time. So how long a request takes, over the delays on its way, is how often somebody has waited for
somebody else, or for a disk.
"""

import heapq
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count, pairwise
from typing import Any

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.origin import Path
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

TICK_S = 0.1

type Answer = Keys | KeyhopError


class DistantNetwork(VirtualNetwork):
    """`delay_s` says how long a message is on its way from one KME to another, `commit_s` how long a commit takes."""

    def __init__(
        self,
        home: Mapping[SaeId, KmeId],
        delay_s: Callable[[KmeId, KmeId], float],
        commit_s: float = 0.0,
        **options: Any,
    ) -> None:
        """`options` are those of a VirtualNetwork."""
        self._delay_s = delay_s
        self._commit_s = commit_s
        self._committing_s = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        super().__init__(home, **options)
        self._at(TICK_S, self._tick)

    def round_trip_s(self, path: Path) -> float:
        """The least that a key can take: along the path, and an answer straight back."""
        return sum(self._delay_s(*hop) for hop in pairwise(path)) + self._delay_s(path[-1], path[0])

    def run(self, seconds: float) -> None:
        """Time passes."""
        until = self.clock.monotonic() + seconds
        self._run(lambda: False, until)

    def timed(self, kme: KmeId, request: GetKey | GetKeyWithIds, most_s: float = 10.0) -> tuple[float, Answer]:
        """Asks and waits for the answer: how long it took, and what it was. Raises AssertionError without one."""
        begin, answers = self.clock.monotonic(), list[tuple[float, Answer]]()

        def answered(answer: Answer) -> None:
            answers.append((self.clock.monotonic() + self._committing_s - begin, answer))

        delivery = self.kmes[kme].delivery
        if isinstance(request, GetKey):
            delivery.get_key(request, answered)
        else:
            delivery.get_key_with_ids(request, answered)
        self._run(lambda: bool(answers), begin + most_s)
        assert answers, "no answer"
        return answers[0]

    def flush(self) -> None:
        """What waits for a commit happens after it."""
        for kme in self.kmes.values():
            self._committing_s = self._commit_s if kme.journal.dirty else 0.0
            kme.journal.flush()
            self._committing_s = 0.0

    def _send(self, source: KmeId, target: KmeId, data: bytes) -> None:
        self._at(self._committing_s + self._delay_s(source, target), partial(self._arrive, source, target, data))

    def _arrive(self, source: KmeId, target: KmeId, data: bytes) -> None:
        """A message arrives."""
        if target not in self.dead:
            self.kmes[target].received(source, data)

    def _tick(self) -> None:
        for name, kme in self.kmes.items():
            if name not in self.dead:
                kme.tick()
        self._at(TICK_S, self._tick)

    def _at(self, delay_s: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.clock.monotonic() + delay_s, next(self._order), happens))

    def _run(self, ends: Callable[[], bool], until: float) -> None:
        self.flush()
        while not ends() and self._due[0][0] <= until:
            at, _, happens = heapq.heappop(self._due)
            self.clock.advance(at - self.clock.monotonic())
            happens()
            self.flush()
        if not ends():
            self.clock.advance(until - self.clock.monotonic())
