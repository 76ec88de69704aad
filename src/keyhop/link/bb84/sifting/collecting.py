"""The receiver holds its detections back until those of a whole round are there: a collection.

A basis that is public while pulses of the same round are still to come lets an eavesdropper adapt to it, which
finite-key bounds by random sampling do not cover (C. Pfister, N. Lütkenhaus, S. Wehner and P. Coles, New J. Phys. 18
(2016) 053001; K. Tamaki et al., Quantum Sci. Technol. 3 (2018) 014002). So the receiver ends a collection on its own
numbers alone: with the detection in Z that makes enough of them, if the transmitter chooses Z as often as configured;
or, where Z hardly comes, with a number of detections. Only then is any of them announced, while the next collection
gathers. Samples are another thing: detections that are announced at once, to look at the line, and used for no key.

What is held takes about 2 bytes a detection: it is encoded as it will be announced. Whoever adds stops when two
collections are complete, so no more is held than these, the one that gathers and a batch.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.sifting.payloads import encode_announcement

type Part = Literal["sample", "middle", "end"]
"""Of a sample, of a collection, or the last of a collection."""

MARGIN = 6.0
"""Standard deviations: one collection in a thousand million falls short by chance."""

PATIENCE = 2.0
"""A collection ends with so many times the detections that it should need."""

LEAST_SHARE = 0.01
PORTION = 1 << 16
"""Detections in an announcement: error correction under way need not wait long for its turn."""


@dataclass(frozen=True, slots=True)
class Held:
    """Detections, encoded: as announced, and what is not announced, packed: all bits, and which were doubles."""

    payload: bytes = field(repr=False)
    bits: bytes = field(repr=False)
    doubles: bytes = field(repr=False)
    part: Part


def detections_needed(wanted: int, share: float) -> int:
    """The least n with n·share - MARGIN·√(n·share·(1-share)) ≥ wanted."""
    spread = MARGIN * math.sqrt(share * (1 - share))
    return math.ceil(((spread + math.sqrt(spread**2 + 4 * share * wanted)) / (2 * share)) ** 2)


class Collecting:
    """Collections for rounds of `block_bits`. The shares say how often the two ends choose Z; `sample_events` is how
    many events in X a sample shall give. It begins with a sample."""

    def __init__(self, block_bits: int, transmitter_z: float, receiver_z: float, sample_events: int) -> None:
        self._block_bits = block_bits
        self._transmitter_z, self._receiver_z = transmitter_z, receiver_z
        self._sample_events = sample_events
        self._next_slot = 0
        self._ready: deque[Held] = deque()
        self._complete = 0
        self._sampling = True
        self._begin()

    def _begin(self) -> None:
        """A collection, or a sample: whose end X decides, as Z does that of a collection."""
        self._held: list[Held] = []
        self._loose: list[Detections] = []
        if self._sampling:
            self._decisive = 1
            self._missing = detections_needed(self._sample_events, max(LEAST_SHARE, 1 - self._transmitter_z))
            share = 1 - self._receiver_z
        else:
            self._decisive = 0
            self._missing = detections_needed(self._block_bits, self._transmitter_z)
            share = self._receiver_z
        self._room = math.ceil(PATIENCE * self._missing / max(LEAST_SHARE, share))

    @property
    def complete(self) -> int:
        """Collections that are complete, and not wholly taken."""
        return self._complete

    def sample_again(self) -> None:
        """Throws away what gathers, and begins with a sample as at first."""
        self._sampling = True
        self._begin()

    def expect(self, transmitter_z: float) -> None:
        """From the next collection on; it takes no more than was configured for granted."""
        self._transmitter_z = min(self._transmitter_z, max(LEAST_SHARE, transmitter_z))

    def add(self, detections: Detections) -> None:
        """Raises LinkError when their slots do not rise, or do not follow those added before."""
        start, count = 0, len(detections.slots)
        while start < count:
            stop, ends = self._reach(detections.bases, start)
            self._loose.append(_slice(detections, start, stop))
            start = stop
            if ends or self._sampling or sum(len(part.slots) for part in self._loose) >= PORTION:
                self._encode()
            if ends:
                self._end()

    def take(self) -> Held | None:
        """What is to be announced next."""
        if not self._ready:
            return None
        held = self._ready.popleft()
        self._complete -= held.part == "end"
        return held

    def _reach(self, bases: NDArray[np.uint8], start: int) -> tuple[int, bool]:
        """Up to where detections belong to what gathers, and whether that ends there."""
        where = np.flatnonzero(bases[start : start + self._room] == self._decisive)
        if len(where) >= self._missing:
            return start + int(where[self._missing - 1]) + 1, True
        stop = min(len(bases), start + self._room)
        self._missing -= len(where)
        self._room -= stop - start
        return stop, self._room == 0

    def _end(self) -> None:
        if not self._sampling:
            self._held[-1] = replace(self._held[-1], part="end")
            self._ready.extend(self._held)
            self._complete += 1
        self._sampling = False
        self._begin()

    def _encode(self) -> None:
        into = self._ready if self._sampling else self._held
        into.extend(self._encoded())
        self._loose = []

    def _encoded(self) -> Iterator[Held]:
        loose = self._loose
        slots, bases, bits = (
            np.concatenate([getattr(part, name) for part in loose]) for name in ("slots", "bases", "bits")
        )
        doubles = np.concatenate([part.doubles for part in loose])
        start = 0
        while start < len(slots):
            portion = slice(start, start + PORTION)
            count, payload = encode_announcement(slots[portion], bases[portion], bits[portion], self._next_slot)
            taken = slice(start, start + count)
            yield Held(payload, _packed(bits[taken]), _packed(doubles[taken]), "sample" if self._sampling else "middle")
            start += count
            self._next_slot = int(slots[start - 1]) + 1


def _slice(detections: Detections, start: int, stop: int) -> Detections:
    part = slice(start, stop)
    return Detections(
        detections.first_slot,
        detections.end_slot,
        detections.slots[part],
        detections.bases[part],
        detections.bits[part],
        detections.doubles[part],
    )


def _packed(bits: NDArray[np.uint8] | NDArray[np.bool_]) -> bytes:
    return np.packbits(bits, bitorder="little").tobytes()
