"""The next generation of a peer's key, agreed upon within the session of a pair.

The end that leads takes fresh bytes from its own stream and names their place. The other end takes them out of its
copy and keeps what they make, in one commit, and answers; asked again it answers again. Only then the end that leads
keeps the same, and dials with it next. Should it crash before, it begins anew with other bytes, and the other end
forgets what nobody has used.
"""

from collections.abc import Callable
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.errors import PeerError
from keyhop.core.key_id import Located
from keyhop.core.streams import FollowedStream, Place, Taken
from keyhop.network.leasing import Leasing
from keyhop.network.psk.generations import FRESH_BYTES, Generation, PskGenerations
from keyhop.network.psk.messages import OfPsk, PskMessage, PskProposed, PskRefused, PskStored

RESEND_S = 1.0
RETRY_S = 5.0


class _Proposal(NamedTuple):
    generation: Generation
    epoch: int
    position: int


class Refreshing:
    """The state machine at either end; `received` raises PeerError for what the protocol does not allow."""

    def __init__(
        self,
        generations: PskGenerations,
        leasing: Leasing,
        followed: FollowedStream,
        clock: Clock,
        send: Callable[[PskMessage], None],
        interval_s: float,
    ) -> None:
        """`interval_s` is the time from one generation to the next; the operators' own is replaced at once."""
        self._generations = generations
        self._leasing = leasing
        self._followed = followed
        self._clock = clock
        self._send = send
        self._interval_s = interval_s
        self._synchronised = False
        self._taking = False
        self._proposal: _Proposal | None = None
        self._sent_at = 0.0
        self._next_at = clock.monotonic() + (interval_s if generations.current else 0.0)

    def synchronised(self) -> None:
        """A session begins: what was not answered is proposed again."""
        self._synchronised = True
        self._propose()

    def interrupted(self) -> None:
        """The session is over."""
        self._synchronised = False

    def tick(self) -> None:
        """Time has passed."""
        if not self._synchronised or not self._generations.leads:
            return
        now = self._clock.monotonic()
        if self._proposal is not None:
            if now - self._sent_at >= RESEND_S:
                self._propose()
        elif now >= self._next_at and not self._taking and not self._moving:
            self._taking = True
            self._leasing.wait(FRESH_BYTES, 1, "psk", now + RETRY_S, self._took)

    def received(self, body: OfPsk) -> None:
        """What the other end says of it."""
        match body:
            case PskProposed():
                self._proposed(body)
            case PskStored(number):
                self._stored(number)
            case PskRefused(epoch, position):
                if self._proposal and (self._proposal.epoch, self._proposal.position) == (epoch, position):
                    self._proposal = None  # the next tick takes others

    @property
    def _moving(self) -> bool:
        """Whether there is a newer generation than the connection's."""
        return self._generations.newest > self._generations.in_use

    def _took(self, taken: Taken | None) -> None:
        self._taking = False
        if taken is None:
            self._next_at = self._clock.monotonic() + RETRY_S
        else:
            generation = self._generations.after(self._generations.newest, taken.data)
            self._proposal = _Proposal(generation, taken.epoch, taken.position)
            self._propose()

    def _propose(self) -> None:
        if self._proposal is not None and self._synchronised:
            self._sent_at = self._clock.monotonic()
            generation, epoch, position = self._proposal
            self._send(PskProposed(generation.number, epoch, position, generation.check))

    def _stored(self, number: int) -> None:
        if self._proposal is not None and self._proposal.generation.number == number:
            self._generations.adopt(self._proposal.generation)
            self._proposal = None
            self._next_at = self._clock.monotonic() + self._interval_s

    def _proposed(self, message: PskProposed) -> None:
        generations = self._generations
        if generations.leads or message.generation != generations.in_use + 1:
            raise PeerError("a generation of the PSK that is not the next one")
        if not generations.has(message.generation, message.check) and not self._adopted(message):
            self._send(PskRefused(message.epoch, message.position))
        else:
            self._send(PskStored(message.generation))

    def _adopted(self, message: PskProposed) -> bool:
        place = Place(message.epoch, Located(message.position, FRESH_BYTES))
        if not self._followed.has(place):
            return False
        generation = self._generations.after(self._generations.in_use, self._followed.peek(place))
        if generation.check != message.check:
            return False  # and erases nothing: it may be somebody's key
        self._followed.consume(place, "psk")
        self._generations.adopt(generation)
        return True
