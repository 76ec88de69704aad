"""Sifted events become rounds: whoever sees the same collections in the same order cuts the same rounds.

A round is the beginning of one collection (see `collecting`): up to the event that gives it its last Z bit. The rest of
the collection is thrown away, its events in X as well: the bits of the key come from the beginning, and so must the
sample that speaks for them. Where a round ends depends on the number of Z bits alone, so, but for the last event,
every choice of which events were X is as likely as any other with these counts: the random sample that finite-key
bounds assume (C. Pfister, N. Lütkenhaus, S. Wehner and P. Coles, New J. Phys. 18 (2016) 053001, show what goes wrong
otherwise). With all X events of the collection that would not be so: whoever attacks only its beginning, or only its
end, knows whether key or sample is hit more often. A collection with too few Z bits makes no round.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.sifting.collecting import Part
from keyhop.link.bb84.sifting.sifting_kernels import EVENTS, TALLY_COLUMNS, TALLY_ROWS, collect

RECENT_X_EVENTS = 2000
"""How far back the running error rate looks: known to half a percent, at any error rate that leaves a key."""

NEWEST_X_EVENTS = 300
"""How far back to look for what the error rate has become."""


@dataclass(frozen=True, slots=True)
class ByBasis:
    """Detections by the receiver's basis, and whether it was the transmitter's as well."""

    z_matching: int
    z_other: int
    x_matching: int
    x_other: int


@dataclass(frozen=True, slots=True)
class SiftedRound:
    """The events of one round; the same at both ends but for `bits` and `doubles`.

    `bits` are this end's Z bits and `intensities` those pulses' intensities, uint8, one element per bit. The tuples
    have one element per intensity: `n_z` Z events, `n_x` X events, `m_x` wrong X events. `detections` are all that
    the receiver had in the round, `doubles` those in which both its detectors clicked: None at the transmitter, which
    cannot know. `first_slot` is that of the first of them, `end_slot` follows that of the last. `number` counts from 0.
    """

    number: int
    bits: NDArray[np.uint8] = field(repr=False)
    intensities: NDArray[np.uint8] = field(repr=False)
    n_z: tuple[int, ...]
    n_x: tuple[int, ...]
    m_x: tuple[int, ...]
    detections: ByBasis
    doubles: ByBasis | None
    first_slot: int
    end_slot: int


@dataclass(frozen=True, slots=True)
class XSample:
    """The last events in X, at most RECENT_X_EVENTS of them, and how many were wrong; of these the newest ones, at
    most NEWEST_X_EVENTS."""

    events: int
    errors: int
    newest_events: int
    newest_errors: int


@dataclass(frozen=True, slots=True)
class MatchedDetections:
    """A batch as both ends know it after the transmitter's answer; arrays of one element per detection.

    `slots` int64, the others uint8. `bits` are this end's; `intensities` and `x_errors` mean something only where
    `matching` is 1, `x_errors` only where `bases` is 1 as well. `doubles` is None at the transmitter.
    """

    slots: NDArray[np.int64]
    bases: NDArray[np.uint8]
    matching: NDArray[np.uint8]
    intensities: NDArray[np.uint8]
    bits: NDArray[np.uint8] = field(repr=False)
    x_errors: NDArray[np.uint8]
    doubles: NDArray[np.uint8] | None


class RoundCollector:
    """Cuts collections into rounds of `block_bits` Z bits for `intensities` intensities.

    Needs 2 bytes per Z bit; a round that is full waits until it is taken, so whoever adds must not run ahead.
    """

    def __init__(self, block_bits: int, intensities: int) -> None:
        if block_bits < 1 or intensities not in (2, 3):
            raise ValueError("a round has at least one bit, and pulses of two or three intensities")
        self._block_bits = block_bits
        self._intensities = intensities
        self._full: deque[SiftedRound] = deque()
        self._short: deque[ByBasis] = deque()
        self._finished = 0
        self._recent_x = np.empty(0, np.uint8)
        self._x_events = 0
        self._begin()

    def _begin(self) -> None:
        self._bits = np.empty(self._block_bits, np.uint8)
        self._round_intensities = np.empty(self._block_bits, np.uint8)
        self._restart()

    def _restart(self) -> None:
        self._filled = 0
        self._tally = np.zeros((TALLY_ROWS, TALLY_COLUMNS), np.int64)
        self._first_slot: int | None = None
        self._end_slot = 0

    @property
    def waiting(self) -> int:
        """Rounds that are full and not taken."""
        return len(self._full)

    @property
    def under_way(self) -> bool:
        """Whether a collection has begun and not ended."""
        return self._first_slot is not None

    @property
    def sifted_bits(self) -> int:
        """Z bits of all rounds so far."""
        return self._finished * self._block_bits

    @property
    def x_events(self) -> int:
        """X events so far."""
        return self._x_events

    @property
    def recent_x(self) -> XSample:
        """The last X events, across rounds and samples. Both ends agree after the same batch."""
        recent, newest = self._recent_x, self._recent_x[-NEWEST_X_EVENTS:]
        return XSample(len(recent), int(recent.sum()), len(newest), int(newest.sum()))

    def forget_x(self) -> None:
        """What follows is another line."""
        self._recent_x = np.empty(0, np.uint8)

    def take(self) -> SiftedRound | None:
        """The oldest full round; None while none is full."""
        return self._full.popleft() if self._full else None

    def take_short(self) -> ByBasis | None:
        """The detections of a collection that made no round; None when there is none that was not taken."""
        return self._short.popleft() if self._short else None

    def add(self, batch: MatchedDetections, part: Part) -> None:
        """Appends a batch. All its arrays have the same length, at least 1."""
        count = len(batch.slots)
        doubles = np.zeros(count, np.uint8) if batch.doubles is None else batch.doubles
        parallel = (batch.bases, batch.matching, batch.intensities, batch.bits, batch.x_errors, doubles)
        if any(len(array) != count for array in parallel):
            raise ValueError("the arrays of a batch have different lengths")
        self._remember_x(batch)
        if part == "sample":
            return
        if self._first_slot is None:
            self._first_slot = int(batch.slots[0])
        if self._filled < self._block_bits:
            taken, self._filled = collect(
                0,
                batch.bases,
                batch.matching,
                batch.intensities,
                batch.bits,
                batch.x_errors,
                doubles,
                self._bits,
                self._round_intensities,
                self._filled,
                self._tally,
            )
            self._end_slot = int(batch.slots[taken - 1]) + 1
        if part == "end":
            self._end(doubles_known=batch.doubles is not None)

    def _end(self, *, doubles_known: bool) -> None:
        if self._filled < self._block_bits:
            self._short.append(self._by_basis(0))
            self._restart()
            return
        self._finish(doubles_known=doubles_known)

    def _remember_x(self, batch: MatchedDetections) -> None:
        errors = batch.x_errors[(batch.bases & batch.matching) == 1]
        self._x_events += len(errors)
        self._recent_x = np.concatenate((self._recent_x, errors))[-RECENT_X_EVENTS:]

    def _finish(self, *, doubles_known: bool) -> None:
        assert self._first_slot is not None
        counts = self._tally[EVENTS:, : self._intensities].tolist()
        self._full.append(
            SiftedRound(
                number=self._finished,
                bits=self._bits,
                intensities=self._round_intensities,
                n_z=tuple(counts[0]),
                n_x=tuple(counts[1]),
                m_x=tuple(counts[2]),
                detections=self._by_basis(0),
                doubles=self._by_basis(1) if doubles_known else None,
                first_slot=self._first_slot,
                end_slot=self._end_slot,
            )
        )
        self._finished += 1
        self._begin()

    def _by_basis(self, column: int) -> ByBasis:
        z_other, z_matching, x_other, x_matching = self._tally[:EVENTS, column].tolist()
        return ByBasis(z_matching=z_matching, z_other=z_other, x_matching=x_matching, x_other=x_other)
