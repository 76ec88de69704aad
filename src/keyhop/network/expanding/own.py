"""The seed of an owned stream."""

from collections.abc import Callable
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.origin import Path, crossed
from keyhop.core.streams import OwnedStream, Taken
from keyhop.network.expanding.messages import SeedHeld, SeedMessage, SeedTaken
from keyhop.network.expanding.pads import SEED_BYTES, expanded
from keyhop.network.leasing import Leasing

RESEND_S = 1.0
RETRY_S = 5.0
MOST_BYTES = 1 << 20
"""So much is expanded of one seed; then there is to be another, or nothing is expanded any more."""
WORN_BYTES = MOST_BYTES // 2


class ExpandedPad(NamedTuple):
    """A pad, and what tells the follower which one it is."""

    epoch: int
    position: int
    number: int
    pad: bytes

    def __repr__(self) -> str:
        return f"<ExpandedPad: {len(self.pad)} bytes>"


class OwnSeed:
    """Takes a seed while it is `wanted` and there is something to take it of, and another when it is worn."""

    def __init__(
        self, stream: OwnedStream, leasing: Leasing, clock: Clock, send: Callable[[SeedMessage], None]
    ) -> None:
        self._stream = stream
        self._leasing = leasing
        self._clock = clock
        self._send = send
        self.wanted = False
        self._synchronised = False
        self._taking = False
        self._next: Taken | None = None
        self._seed: Taken | None = None
        self._number = self._used_bytes = 0
        self._at = 0.0

    @property
    def sources(self) -> tuple[str, ...]:
        """What made the bytes of the seed; nothing while there is none that can be used."""
        seed = self._usable
        return tuple(dict.fromkeys(age.source for _, age in seed.ages)) if seed else ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Over which it came."""
        return crossed(self.sources, self._stream.ref.ends)

    def take(self, size_bytes: int) -> ExpandedPad | None:
        """The next pad, for one message."""
        seed = self._usable
        if seed is None or self._used_bytes + size_bytes > MOST_BYTES:
            return None
        self._number += 1
        self._used_bytes += size_bytes
        return ExpandedPad(seed.epoch, seed.position, self._number, expanded(seed.data, self._number, size_bytes))

    def give_up(self, source: Callable[[str], bool]) -> None:
        """A seed with bytes of such a source is not used any more."""
        self._seed, self._next = (
            None if taken is not None and any(source(age.source) for _, age in taken.ages) else taken
            for taken in (self._seed, self._next)
        )

    def synchronised(self) -> None:
        """A session begins."""
        self._synchronised = True
        self._at = 0.0
        self.tick()

    def interrupted(self) -> None:
        """The session is over."""
        self._synchronised = False

    def tick(self) -> None:
        """Takes what is missing, and tells again what was not answered."""
        now = self._clock.monotonic()
        if not self._synchronised or not self.wanted or now < self._at:
            return
        if self._next is not None:
            self._at = now + RESEND_S
            self._send(SeedTaken(self._next.epoch, self._next.position))
        elif not self._taking and (self._usable is None or self._used_bytes > WORN_BYTES):
            self._taking, self._at = True, now + RETRY_S
            self._leasing.wait(SEED_BYTES, 1, "seed", now + RETRY_S, self._took)

    def held(self, body: SeedHeld) -> None:
        """The follower's answer."""
        taken = self._next
        if taken is not None and (taken.epoch, taken.position) == (body.epoch, body.position):
            self._next = None
            if body.held:
                self._seed, self._number, self._used_bytes = taken, 0, 0

    @property
    def _usable(self) -> Taken | None:
        seed = self._seed
        return seed if seed is not None and seed.epoch == self._stream.epoch else None

    def _took(self, taken: Taken | None) -> None:
        self._taking, self._next = False, taken
        if taken is not None:
            self._at = 0.0
            self.tick()
