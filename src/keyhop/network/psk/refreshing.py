"""The next generation of a peer's key, agreed upon within the session of a pair.

The end that leads takes fresh bytes from its own stream and names their place. The other end takes them out of its
copy and keeps what they make, in one commit, and answers; asked again it answers again. Only then the end that leads
keeps the same, and dials with it next. Should it crash before, it begins anew with other bytes, and the other end
forgets what nobody has used.

While the stream has none, the end that leads draws the bytes and has them relayed; the other end keeps the latest that
came, in memory, until they are named.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import PeerError
from keyhop.core.key_id import Located
from keyhop.core.keys import KeyMaterial
from keyhop.core.streams import FollowedStream, Place, Taken
from keyhop.network.leasing import Leasing
from keyhop.network.psk.generations import FRESH_BYTES, Generation, PskGenerations
from keyhop.network.psk.messages import InStream, OfPsk, PskMessage, PskProposed, PskRefused, PskStored

RESEND_S = 1.0
RETRY_S = 5.0

type Fetch = Callable[[bytes, KeyMaterial, Callable[[str | None], None]], None]
"""Brings bytes to the other end under the check of what they make; tells when, or why not."""


class _Proposal(NamedTuple):
    generation: Generation
    place: InStream | None


class Refreshing:
    """The state machine at either end; `received` raises PeerError for what the protocol does not allow."""

    def __init__(
        self,
        generations: PskGenerations,
        leasing: Leasing,
        followed: FollowedStream,
        clock: Clock,
        entropy: Entropy,
        send: Callable[[PskMessage], None],
        fetch: Fetch,
        interval_s: float,
    ) -> None:
        """`interval_s` is the time from one generation to the next.

        The first is due at once: the other end may have one already that this end has not kept.
        """
        self._generations = generations
        self._leasing = leasing
        self._followed = followed
        self._clock = clock
        self._entropy = entropy
        self._send = send
        self._fetch = fetch
        self._interval_s = interval_s
        self.trouble: str | None = None
        """Why there were no bytes when it was time for another generation."""
        self._synchronised = False
        self._taking = False
        self._proposal: _Proposal | None = None
        self._brought: tuple[bytes, KeyMaterial] | None = None
        """What was relayed last, and the check that it came under."""
        self._sent_at = 0.0
        self._next_at = clock.monotonic()

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
            case PskStored(check) if self._is_proposed(check):
                self._stored()
            case PskRefused(check) if self._is_proposed(check):
                self._proposal = None  # the next tick takes others

    def brought(self, check: bytes, fresh: KeyMaterial) -> bool:
        """Bytes that the other end has had relayed. Whether they may be any for a generation."""
        if self._generations.leads or len(fresh) != FRESH_BYTES:
            return False
        self._brought = check, fresh
        return True

    @property
    def _moving(self) -> bool:
        """Whether there is a newer generation than the connection's."""
        return self._generations.newest > self._generations.in_use

    def _took(self, taken: Taken | None) -> None:
        if taken is not None:
            generation = self._generations.after(self._generations.newest, taken.data)
            self._taken(_Proposal(generation, InStream(taken.epoch, taken.position)))
            return
        if not self._synchronised:
            self._fetched(None, "no connection")
            return
        fresh = KeyMaterial(self._entropy.token(FRESH_BYTES))
        generation = self._generations.after(self._generations.newest, fresh.reveal())
        self._fetch(generation.check, fresh, partial(self._fetched, generation))

    def _fetched(self, generation: Generation | None, trouble: str | None) -> None:
        if generation is not None and trouble is None:
            self._taken(_Proposal(generation, None))
        else:
            self._taking = False
            self._next_at = self._clock.monotonic() + RETRY_S
            self.trouble = trouble

    def _taken(self, proposal: _Proposal) -> None:
        self._taking = False
        self.trouble = None
        self._proposal = proposal
        self._propose()

    def _propose(self) -> None:
        if self._proposal is not None and self._synchronised:
            self._sent_at = self._clock.monotonic()
            generation, place = self._proposal
            self._send(PskProposed(generation.number, generation.check, place))

    def _is_proposed(self, check: bytes) -> bool:
        """By its check, not by its number: another one of that number may have been given up."""
        return self._proposal is not None and self._proposal.generation.check == check

    def _stored(self) -> None:
        assert self._proposal is not None
        self._generations.adopt(self._proposal.generation, self._clock.wall())
        self._proposal = None
        self._next_at = self._clock.monotonic() + self._interval_s

    def _proposed(self, message: PskProposed) -> None:
        generations = self._generations
        has_it = generations.has(message.generation, message.check)  # perhaps in use: what was said twice comes late
        if generations.leads or not (has_it or message.generation == generations.in_use + 1):
            raise PeerError("a generation of the PSK that is not the next one")
        if has_it or self._adopted(message):
            self._send(PskStored(message.check))
        else:
            self._send(PskRefused(message.check))

    def _adopted(self, message: PskProposed) -> bool:
        named = message.place
        place = None if named is None else Place(named.epoch, Located(named.position, FRESH_BYTES))
        fresh = self._fresh_of(message.check) if place is None else self._fresh_at(place)
        if fresh is None:
            return False
        generation = self._generations.after(self._generations.in_use, fresh)
        if generation.check != message.check:
            return False  # and erases nothing: it may be somebody's key
        if place is not None:
            self._followed.consume(place, "psk")
        self._brought = None
        self._generations.adopt(generation, self._clock.wall())
        return True

    def _fresh_of(self, check: bytes) -> bytes | None:
        return self._brought[1].reveal() if self._brought and self._brought[0] == check else None

    def _fresh_at(self, place: Place) -> bytes | None:
        return self._followed.peek(place) if self._followed.has(place) else None
