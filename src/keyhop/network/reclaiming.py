"""Records taken back from the KME that holds them, with an answer: which of them nobody was given.

A question is repeated until it is answered. What was answered is remembered for a while, because a record that is gone
looks like one that was delivered.
"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import KmeId
from keyhop.network.arrivals import Arrivals
from keyhop.network.wire import Body, Reclaim, Reclaimed

RESEND_S = 1.0
MAX_REMEMBERED = 1024
CALL_BYTES = 16

type Gone = Callable[[bytes], None]
"""Gets the IDs of those records that nobody was given and nobody will be; of a KME that does not answer, none."""


@dataclass(slots=True)
class _UnderWay:
    message: Reclaim
    deadline: float
    sent_at: float
    gone: Gone


class Reclaiming:
    """Between this KME and one peer."""

    def __init__(
        self, arrivals: Arrivals, peer: KmeId, clock: Clock, entropy: Entropy, send: Callable[[Body], None]
    ) -> None:
        self._arrivals = arrivals
        self._peer = peer
        self._clock = clock
        self._entropy = entropy
        self._send = send
        self._synchronised = False
        self._under_way: dict[bytes, _UnderWay] = {}
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()

    def reclaim(self, ids: bytes, deadline: float, gone: Gone) -> None:
        """Asks the peer for records of masters here; calls `gone` by the deadline (monotonic seconds) or soon after."""
        message = Reclaim(self._entropy.token(CALL_BYTES), ids)
        self._under_way[message.call] = _UnderWay(message, deadline, self._clock.monotonic(), gone)
        self._send(message)

    def asked(self, message: Reclaim) -> None:
        """The peer takes back records of its masters."""
        if message.call not in self._answers:
            self._answers[message.call] = self._arrivals.reclaim(self._peer, message.ids)
            if len(self._answers) > MAX_REMEMBERED:
                self._answers.popitem(last=False)
        self._send(Reclaimed(message.call, self._answers[message.call]))

    def answered(self, message: Reclaimed) -> None:
        """The peer's answer."""
        under_way = self._under_way.pop(message.call, None)
        if under_way:
            under_way.gone(message.ids)

    def synchronised(self) -> None:
        """A session begins: what was not answered is asked again."""
        self._synchronised = True
        for under_way in self._under_way.values():
            self._send(under_way.message)

    def interrupted(self) -> None:
        """The session is over."""
        self._synchronised = False

    def tick(self) -> None:
        """Asks again what was not answered; gives up on what is late."""
        now = self._clock.monotonic()
        for call, under_way in list(self._under_way.items()):
            if under_way.deadline <= now:
                del self._under_way[call]
                under_way.gone(b"")
            elif self._synchronised and under_way.sent_at < now - RESEND_S:
                under_way.sent_at = now
                self._send(under_way.message)

    def abandon(self) -> None:
        """Tells those who wait that nothing is known."""
        under_way, self._under_way = self._under_way, {}
        for each in under_way.values():
            with suppress(StoreFailure):
                each.gone(b"")
