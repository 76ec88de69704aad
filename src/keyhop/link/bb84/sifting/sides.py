"""Sifting: the two ends keep the detections whose bases match, without telling the bits in Z.

The receiver announces its detections once those of a whole round are there (see `collecting`); the transmitter answers
each announcement in turn. Both keep what matched in the same order, so that `take_round` gives both the same rounds.
One object per run and end; announcements and answers must arrive whole and in order (the messages around them see to
that).
"""

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from keyhop.core.errors import PeerError
from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.optics.pulses import PulseStates
from keyhop.link.bb84.sifting.collecting import Collecting, Held, Part
from keyhop.link.bb84.sifting.payloads import Answer, decode_announcement, decode_answer, encode_answer
from keyhop.link.bb84.sifting.rounds import ByBasis, MatchedDetections, RoundCollector, SiftedRound, XSample
from keyhop.link.bb84.sifting.sifting_kernels import match_at_receiver, match_at_transmitter


class Sifting:
    """What both ends have: the rounds, and running totals, equal at both ends after the same answer."""

    def __init__(self, block_bits: int, intensities: int) -> None:
        self._rounds = RoundCollector(block_bits, intensities)
        self._intensities = intensities

    def take_round(self) -> SiftedRound | None:
        """The oldest round that is full; None while none is."""
        return self._rounds.take()

    @property
    def rounds_waiting(self) -> int:
        """Full rounds that nobody took. They wait in memory, 2 bytes per bit: announce no more than is taken."""
        return self._rounds.waiting

    @property
    def sifted_bits(self) -> int:
        """Z bits of all rounds so far in this run."""
        return self._rounds.sifted_bits

    @property
    def x_events(self) -> int:
        """X events so far in this run."""
        return self._rounds.x_events

    @property
    def recent_x(self) -> XSample:
        """The last X events, for a running check of the error rate that does not wait for rounds."""
        return self._rounds.recent_x

    def forget_x(self) -> None:
        """What follows is another line: `recent_x` begins anew."""
        self._rounds.forget_x()

    def take_short(self) -> ByBasis | None:
        """The detections of a collection that made no round; None when there is none that was not taken."""
        return self._rounds.take_short()


class ReceiverSifting(Sifting):
    """The receiver's end of one run: rounds of `block_bits` Z bits; `intensities` is how many there are, 2 or 3. How
    it collects is said at `Collecting`."""

    def __init__(self, block_bits: int, intensities: int, collecting: Collecting) -> None:
        super().__init__(block_bits, intensities)
        self._collecting = collecting
        self._announced: deque[Held] = deque()

    @property
    def unanswered(self) -> int:
        """Announcements without an answer yet."""
        return len(self._announced)

    def detected(self, detections: Detections) -> None:
        """Holds them back. Raises LinkError when their slots do not rise, or do not follow those before."""
        self._collecting.add(detections)

    def announce(self) -> tuple[bytes, Part] | None:
        """What may be announced next; None while there is nothing."""
        held = self._collecting.take()
        if held is None:
            return None
        self._announced.append(held)
        return held.payload, held.part

    def sifted(self, payload: bytes) -> None:
        """Takes the answer to the oldest unanswered announcement. Raises PeerError, and changes nothing, when it is
        malformed or there is none unanswered."""
        if not self._announced:
            raise PeerError("an answer to detections that were not announced")
        held = self._announced[0]
        announced = decode_announcement(held.payload, 0)
        count = len(announced.slots)
        answer = decode_answer(payload, announced.bases, self._intensities)
        self._announced.popleft()
        bits, doubles = _unpacked(held.bits, count), _unpacked(held.doubles, count)
        intensities, x_errors = np.empty_like(bits), np.empty_like(bits)
        match_at_receiver(
            announced.bases,
            bits,
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
                bits=bits,
                x_errors=x_errors,
                doubles=doubles,
            ),
            held.part,
        )


def _unpacked(data: bytes, count: int) -> NDArray[np.uint8]:
    return np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")


class TransmitterSifting(Sifting):
    """The transmitter's end of one run: rounds of `block_bits` Z bits; `intensities` is how many there are, 2 or 3."""

    def __init__(self, block_bits: int, intensities: int) -> None:
        super().__init__(block_bits, intensities)
        self._next_slot = 0

    def detections(self, payload: bytes, part: Part, states: Callable[[NDArray[np.int64]], PulseStates]) -> bytes:
        """The answer to an announcement; `states` tells what was sent in given slots.

        Raises PeerError, and changes nothing, when it is malformed, its slots were announced before, or it is a
        sample in the middle of a collection.
        """
        if part == "sample" and self._rounds.under_way:
            raise PeerError("the far end looks at the light in the middle of a round")
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
            ),
            part,
        )
        return answer
