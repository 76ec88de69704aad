"""Keys taken back from the KME of their slaves, with an answer: which of them none of the slaves was given.

A question is repeated until it is answered, and has the same answer again. A peer that stays silent is asked less and
less often, and never for much at once.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import PeerError, StoreFailure
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.network.wire import Body, Reclaim, Reclaimed

RESEND_S = 1.0
"""How long an answer is waited for at first; twice as long each time after that, until MOST_RESEND_S."""
MOST_RESEND_S = 16.0
AT_ONCE = 64
"""So many questions are repeated at one moment, those first that waited longest; so many wait here for an answer."""
CALL_BYTES = 16

type Gone = Callable[[bytes | None], None]
"""Gets the IDs of those keys that no slave was given, and none will be; None of a KME that does not answer."""


class Keys(NamedTuple):
    """Keys of a master for slaves at one KME; `ids` are 16 bytes each, one after the other.

    With `spare_fetched`, what one of the slaves was given stays for the others. With a `batch`, only records that came
    in that one are meant: others may have come under their IDs before.
    """

    master: SaeId
    slaves: tuple[SaeId, ...]
    ids: bytes
    spare_fetched: bool
    batch: bytes = b""


type TakeBack = Callable[[KmeId, Keys, Gone], None]
"""Takes back keys of a master at a KME; tells which, perhaps later. None: it cannot say that now."""


@dataclass(slots=True)
class _UnderWay:
    message: Reclaim
    deadline: float
    again_at: float
    gone: Gone
    patience_s: float = RESEND_S


class Reclaiming:
    """Between this KME and one peer."""

    def __init__(
        self, take_back: TakeBack, peer: KmeId, clock: Clock, entropy: Entropy, send: Callable[[Body], None]
    ) -> None:
        self._take_back = take_back
        self._peer = peer
        self._clock = clock
        self._entropy = entropy
        self._send = send
        self._synchronised = False
        self._under_way: dict[bytes, _UnderWay] = {}
        self._answering: set[bytes] = set()

    def reclaim(self, keys: Keys, deadline: float, gone: Gone) -> Callable[[], None]:
        """Asks the peer for keys of a master here; calls `gone` by the deadline (monotonic seconds) or soon after.

        Whoever calls what this returns does not want to know it any more, and the peer is not asked again.
        """
        message = Reclaim(self._entropy.token(CALL_BYTES), *keys)
        self._under_way[message.call] = _UnderWay(message, deadline, self._clock.monotonic() + RESEND_S, gone)
        self._send(message)
        return partial(self._cancel, message.call)

    def asked(self, message: Reclaim) -> None:
        """The peer takes back keys of its masters. It asks again for what is not heard because too much waits.

        Raises PeerError.
        """
        if not message.ids or len(message.ids) % KEY_ID_BYTES:
            raise PeerError("keys to take back without whole IDs")
        if message.call in self._answering or len(self._answering) >= AT_ONCE:
            return
        self._answering.add(message.call)

        def taken(ids: bytes | None) -> None:
            self._answering.discard(message.call)
            if ids is not None:  # else it asks again
                self._send(Reclaimed(message.call, ids))

        master, slaves = SaeId(message.master), tuple(map(SaeId, message.slaves))
        keys = Keys(master, slaves, message.ids, message.spare_fetched, message.batch)
        self._take_back(self._peer, keys, taken)

    def answered(self, message: Reclaimed) -> None:
        """The peer's answer."""
        under_way = self._under_way.pop(message.call, None)
        if under_way:
            under_way.gone(message.ids)

    def synchronised(self) -> None:
        """A session begins: what was not answered is asked again."""
        self._synchronised = True
        now = self._clock.monotonic()
        for under_way in self._under_way.values():
            under_way.again_at, under_way.patience_s = min(under_way.again_at, now), RESEND_S
        self._ask_again(now)

    def interrupted(self) -> None:
        """The session is over."""
        self._synchronised = False

    def tick(self) -> None:
        """Asks again what was not answered; gives up on what is late."""
        now = self._clock.monotonic()
        for call, under_way in list(self._under_way.items()):
            if under_way.deadline <= now:
                del self._under_way[call]
                under_way.gone(None)
        if self._synchronised:
            self._ask_again(now)

    def abandon(self) -> None:
        """Tells those who wait that nothing is known."""
        under_way, self._under_way = self._under_way, {}
        for each in under_way.values():
            with suppress(StoreFailure):
                each.gone(None)

    def _ask_again(self, now: float) -> None:
        due = [each for each in self._under_way.values() if each.again_at <= now]
        for each in sorted(due, key=lambda each: each.again_at)[:AT_ONCE]:
            each.patience_s = min(2 * each.patience_s, MOST_RESEND_S)
            each.again_at = now + each.patience_s
            self._send(each.message)

    def _cancel(self, call: bytes) -> None:
        self._under_way.pop(call, None)
