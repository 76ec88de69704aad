"""Sifting: the two ends keep the detections whose bases match, without telling the bits in Z.

The receiver announces its detections as they come; the transmitter answers each announcement in turn. Both keep what
matched in the same order, so that `take_round` gives both the same rounds. One object per run and end; announcements
and answers must arrive whole and in order (the messages around them see to that).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keyhop.core.errors import PeerError
from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.optics.pulses import PulseStates
from keyhop.link.bb84.sifting.payloads import (
    Answer,
    decode_announcement,
    decode_answer,
    encode_announcement,
    encode_answer,
)
from keyhop.link.bb84.sifting.rounds import MatchedDetections, RoundCollector, SiftedRound, XSample
from keyhop.link.bb84.sifting.sifting_kernels import match_at_receiver, match_at_transmitter


class _Sifting:
    """What both ends have: the rounds, and running totals, equal at both ends after the same answer."""

    def __init__(self, block_bits: int, intensities: int) -> None:
        self._rounds = RoundCollector(block_bits, intensities)
        self._intensities = intensities
        self._next_slot = 0

    def take_round(self) -> SiftedRound | None:
        """The oldest round that is full; None while none is."""
        return self._rounds.take()

    @property
    def rounds_waiting(self) -> int:
        """Full rounds that nobody took. They wait in memory, 2 bytes per bit: announce no more than is taken."""
        return self._rounds.waiting

    @property
    def sifted_bits(self) -> int:
        """Z bits so far in this run."""
        return self._rounds.sifted_bits

    @property
    def x_events(self) -> int:
        """X events so far in this run."""
        return self._rounds.x_events

    @property
    def recent_x(self) -> XSample:
        """The last X events, for a running check of the error rate that does not wait for rounds."""
        return self._rounds.recent_x


@dataclass(frozen=True, slots=True)
class _Announced:
    slots: NDArray[np.int64]
    bases: NDArray[np.uint8]
    bits: NDArray[np.uint8]
    doubles: NDArray[np.uint8]


class ReceiverSifting(_Sifting):
    """The receiver's end of one run: rounds of `block_bits` Z bits; `intensities` is how many there are, 2 or 3."""

    def __init__(self, block_bits: int, intensities: int) -> None:
        super().__init__(block_bits, intensities)
        self._announced: deque[_Announced] = deque()

    @property
    def unanswered(self) -> int:
        """Announcements without an answer yet. Each holds up to 3 MiB."""
        return len(self._announced)

    def announce(self, detections: Detections) -> list[bytes]:
        """The announcements of these detections, in order; none where nothing was detected.

        Raises LinkError when their slots do not rise, or do not follow those announced before.
        """
        slots, bases, bits = detections.slots, detections.bases, detections.bits
        payloads, announced, next_slot = [], [], self._next_slot
        start = 0
        while start < len(slots):
            count, payload = encode_announcement(slots[start:], bases[start:], bits[start:], next_slot)
            part = slice(start, start + count)
            doubles = detections.doubles[part].astype(np.uint8)
            payloads.append(payload)
            announced.append(_Announced(slots[part].copy(), bases[part].copy(), bits[part].copy(), doubles))
            start += count
            next_slot = int(slots[start - 1]) + 1
        self._announced.extend(announced)
        self._next_slot = next_slot
        return payloads

    def sifted(self, payload: bytes) -> None:
        """Takes the answer to the oldest unanswered announcement. Raises PeerError, and changes nothing, when it is
        malformed or there is none unanswered."""
        if not self._announced:
            raise PeerError("an answer to detections that were not announced")
        announced = self._announced[0]
        answer = decode_answer(payload, announced.bases, self._intensities)
        self._announced.popleft()
        intensities, x_errors = np.empty_like(announced.bases), np.empty_like(announced.bases)
        match_at_receiver(
            announced.bases,
            announced.bits,
            answer.matching,
            answer.intensities,
            answer.x_bits,
            intensities,
            x_errors,
        )
        self._rounds.add(
            MatchedDetections(
                slots=announced.slots,
                bases=announced.bases,
                matching=answer.matching,
                intensities=intensities,
                bits=announced.bits,
                x_errors=x_errors,
                doubles=announced.doubles,
            )
        )


class TransmitterSifting(_Sifting):
    """The transmitter's end of one run: rounds of `block_bits` Z bits; `intensities` is how many there are, 2 or 3."""

    def detections(self, payload: bytes, states: Callable[[NDArray[np.int64]], PulseStates]) -> bytes:
        """The answer to an announcement; `states` tells what was sent in given slots.

        Raises PeerError, and changes nothing, when it is malformed or its slots were announced before.
        """
        announcement = decode_announcement(payload, self._next_slot)
        count = len(announcement.slots)
        sent = states(announcement.slots)
        if not len(sent.bits) == len(sent.bases) == len(sent.intensities) == count:
            raise ValueError("a transmitter's device must tell one state for each slot")
        matching, x_errors, kept_intensities, kept_x_bits = np.empty((4, count), np.uint8)
        kept, kept_x = match_at_transmitter(
            announcement.bases,
            announcement.x_bits,
            sent.bases,
            sent.bits,
            sent.intensities,
            matching,
            x_errors,
            kept_intensities,
            kept_x_bits,
        )
        answer = encode_answer(Answer(matching, kept_intensities[:kept], kept_x_bits[:kept_x]), self._intensities)
        self._next_slot = int(announcement.slots[-1]) + 1
        self._rounds.add(
            MatchedDetections(
                slots=announcement.slots,
                bases=announcement.bases,
                matching=matching,
                intensities=sent.intensities,
                bits=sent.bits,
                x_errors=x_errors,
                doubles=None,
            )
        )
        return answer
