"""The follower's delivery windows, so that a restored backup is found out.

A follower that is set back to an hour-old copy would give out again what it gave out in that hour. So it delivers
only within a window whose number (the mark) it has made durable at the owner first. A window is over after a second:
the mark is then raised at the owner too. A copy from before the last delivery, or from the same window, then holds
a lower mark than the owner knows, and is refused when they connect.

Nobody shall wait for the owner's answer, which comes from far away: the next window is asked for before the last one is
over, while keys are fetched or about to be. What is delivered after the question counts as use of the new window,
so a higher mark follows on whatever was delivered.

While the owner cannot be reached, delivery goes on: its keys were taken before, and sites must be able to use them.
The mark is raised as soon as the two synchronise again; a copy that is restored before that is not found out.
"""

from collections import deque
from collections.abc import Callable, Iterable

import structlog

from keyhop.core.clock import Clock
from keyhop.core.errors import StoreFailure
from keyhop.core.streams import FollowedStream
from keyhop.network.wire import Body, Mark, MarkNoted

WINDOW_S = 1.0
WAIT_S = 2.0
"""How long somebody waits for an owner that is connected and does not answer."""
EXPECTED_S = 10.0
"""How long after the owner took something slaves are likely to come for it."""
_TICK_S = 0.1
_MOST_AHEAD_S = WINDOW_S / 2

_log = structlog.get_logger(__name__)


class Windows:
    """Delivery windows of one followed stream."""

    def __init__(self, stream: FollowedStream, clock: Clock, send: Callable[[Body], None]) -> None:
        self._stream = stream
        self._clock = clock
        self._send = send
        self._was_synchronised = False
        self._connected = False
        self._until = float("-inf")
        self._used = False
        self._asked_at: float | None = None
        self._expected_until = float("-inf")
        self._ahead_s = _TICK_S
        """How long before the end of a window the next one is asked for: longer than the answer takes."""
        self._waiting: deque[tuple[float, Callable[[], None], Callable[[], None]]] = deque()

    @property
    def ready(self) -> bool:
        """Whether the two ends have compared their marks since this process began, or was last in doubt.

        Before, nothing is delivered.
        """
        return self._was_synchronised

    def admits(self) -> bool:
        """Whether something may be delivered this moment, which counts as use: a window is open, or the owner away."""
        if self._connected and self._clock.monotonic() >= self._until:
            return False
        self._used = True
        return True

    def use(self) -> None:
        """Something is delivered this moment, for which a window was open, if not now: a higher mark follows."""
        self._used = True

    def enter(self, deliver: Callable[[], None], late: Callable[[], None]) -> None:
        """Calls `deliver` within a window: at once if that is admitted. Or `late`, after WAIT_S."""
        if self.admits():
            deliver()
            return
        self._waiting.append((self._clock.monotonic() + WAIT_S, deliver, late))
        if self._asked_at is None:
            self._ask()

    def expect(self) -> None:
        """Somebody is about to enter: there shall be a window for a while, so that nobody waits for it."""
        now = self._clock.monotonic()
        self._expected_until = now + EXPECTED_S
        if self._connected and self._asked_at is None and now >= self._until:
            self._ask()

    def noted(self, message: MarkNoted) -> None:
        """The owner knows the mark: the window is open, and closes a second after we asked for it."""
        if self._asked_at is not None and message.mark == self._stream.mark:
            took_s = self._clock.monotonic() - self._asked_at
            self._ahead_s = min(2 * took_s + _TICK_S, _MOST_AHEAD_S)
            self._until = self._asked_at + WINDOW_S
            self._asked_at = None
            self._let_in()

    def synchronised(self) -> None:
        """A session begins; marks must be noted anew."""
        self._was_synchronised = self._connected = True
        self._until = float("-inf")
        self._ask()

    def interrupted(self) -> None:
        """The owner is away."""
        self._connected = False
        self._asked_at = None
        self._let_in()

    def doubted(self) -> None:
        """Somebody else claims to be this follower, and may deliver what we would: nothing more until marks agree."""
        self._was_synchronised = False
        self._connected = False
        self._asked_at = None
        waiting, self._waiting = self._waiting, deque()
        _call_all(late for _, _, late in waiting)

    def tick(self) -> None:
        """Asks again when the answer is late; ends a window that was used; sends away who waited too long."""
        now = self._clock.monotonic()
        over = []
        while self._waiting and self._waiting[0][0] <= now:
            over.append(self._waiting.popleft())
        _call_all(late for _, _, late in over)
        if self._asked_at is not None:
            self._send(Mark(self._stream.mark))
        elif self._connected and now >= self._until - self._ahead_s and (self._used or now < self._expected_until):
            self._ask()

    def _ask(self) -> None:
        """Ends the last window and asks for the next."""
        self._used = False
        self._asked_at = self._clock.monotonic()
        self._send(Mark(self._stream.raise_mark()))

    def _let_in(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        self._used = self._used or bool(waiting)
        _call_all(deliver for _, deliver, _ in waiting)


def _call_all(calls: Iterable[Callable[[], None]]) -> None:
    """Of those who waited: whatever becomes of one of them, the next one is told all the same."""
    for call in calls:
        try:
            call()
        except StoreFailure:  # of who would note something
            continue
        except Exception as error:  # noqa: BLE001 - of ours
            _log.exception("what waited for a delivery window has failed", kind=type(error).__name__)
