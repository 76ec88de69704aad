"""How many detections per second of one core sifting takes, both ends together.

    bench/link_sifting.py

Detections come with random gaps, as at the loss given; what the devices cost is not in it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.optics.pulses import PulseStates
from keyhop.link.bb84.protocol.line_health import ENOUGH_EVENTS as SAMPLE_EVENTS
from keyhop.link.bb84.sifting.collecting import Collecting
from keyhop.link.bb84.sifting.sides import ReceiverSifting, TransmitterSifting
from keyhop.link.bb84.sifting.sifting_kernels import warm_up

BATCH = 1 << 18
BATCHES = 30
BLOCK_BITS = 2_400_000
Z_PROBABILITY = 0.885
ERROR_RATE = 0.02


@dataclass(frozen=True, slots=True)
class Case:
    """Mean distance between detections in slots, and how many intensities the source has."""

    name: str
    mean_gap: float
    intensities: int


CASES = (
    Case("a detection every 3 slots", 3, 2),
    Case("every 150 slots (10 dB)", 150, 2),
    Case("every 1,500 slots (20 dB), two decoys", 1500, 3),
)


class _Line:
    """Detections in batches, and what was sent in their slots."""

    def __init__(self, case: Case) -> None:
        random, count = np.random.default_rng(1), BATCH * BATCHES
        self._slots = np.cumsum(random.geometric(1 / case.mean_gap, count))
        self._bits, self._bases, sent_bases = (
            (random.random(count) < chance).astype(np.uint8) for chance in (0.5, 1 - Z_PROBABILITY, 1 - Z_PROBABILITY)
        )
        self._doubles = random.random(count) < 0.01
        sent_bits = self._bits ^ (random.random(count) < ERROR_RATE).astype(np.uint8)
        self._sent = PulseStates(sent_bits, sent_bases, random.integers(0, case.intensities, count, np.uint8))

    def batches(self) -> Iterator[Detections]:
        """In order."""
        end_slot = 0
        for start in range(0, len(self._slots), BATCH):
            part = slice(start, start + BATCH)
            first_slot, end_slot = end_slot, int(self._slots[part][-1]) + 1
            columns = (self._slots[part], self._bases[part], self._bits[part], self._doubles[part])
            yield Detections(first_slot, end_slot, *columns)

    def sent(self, slots: NDArray[np.int64]) -> PulseStates:
        """In slots that follow each other among the detections."""
        first = int(np.searchsorted(self._slots, slots[0]))
        part = slice(first, first + len(slots))
        return PulseStates(self._sent.bits[part], self._sent.bases[part], self._sent.intensities[part])


@dataclass(slots=True)
class _Spent:
    """CPU seconds of either end, and what they were spent on."""

    receiver_s: float = 0.0
    transmitter_s: float = 0.0
    detections: int = 0
    size_bytes: int = 0


def _sift(case: Case) -> _Spent:
    line, spent = _Line(case), _Spent()
    collecting = Collecting(BLOCK_BITS, Z_PROBABILITY, Z_PROBABILITY, SAMPLE_EVENTS)
    receiver = ReceiverSifting(BLOCK_BITS, case.intensities, collecting)
    transmitter = TransmitterSifting(BLOCK_BITS, case.intensities)
    for batch in line.batches():
        begin_s = time.thread_time()
        receiver.detected(batch)
        while (announcement := receiver.announce()) is not None:
            announced_s = time.thread_time()
            answer = transmitter.detections(*announcement, line.sent)
            answered_s = time.thread_time()
            receiver.sifted(answer)
            spent.transmitter_s += answered_s - announced_s
            begin_s += answered_s - announced_s
            spent.size_bytes += len(announcement[0]) + len(answer)
        spent.receiver_s += time.thread_time() - begin_s
        receiver.take_round()
        transmitter.take_round()
        spent.detections += len(batch.slots)
    return spent


def measure() -> list[tuple[str, str]]:
    """Rows of a table: what, and the figure, in CPU time. What is collected last and not announced counts as well."""
    warm_up()
    rows = []
    for case in CASES:
        spent = _sift(case)
        both, sending, receiving = (
            spent.detections / spent_s / 1e6
            for spent_s in (spent.receiver_s + spent.transmitter_s, spent.transmitter_s, spent.receiver_s)
        )
        figure = f"{both:.0f} million/s per core (transmitter {sending:.0f}, receiver {receiving:.0f})"
        rows.append((f"detections, {case.name}", figure))
        rows.append((f"messages, {case.name}", f"{spent.size_bytes / spent.detections:.2f} bytes a detection"))
    return rows


if __name__ == "__main__":
    for name, figure in measure():
        print(f"{name:60s} {figure}")
