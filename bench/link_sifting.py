"""How many detections per second of one core sifting takes, both ends together.

    bench/link_sifting.py

Detections come with random gaps, as at the loss given; what the devices cost is not in it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.optics.pulses import PulseStates
from keyhop.link.bb84.sifting.sides import ReceiverSifting, TransmitterSifting
from keyhop.link.bb84.sifting.sifting_kernels import warm_up

BATCH = 1 << 18
BATCHES = 24
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


@dataclass(frozen=True, slots=True)
class _Batch:
    detections: Detections
    states: PulseStates

    def sent(self, slots: NDArray[np.int64]) -> PulseStates:
        """Looks up what was sent in slots that follow each other among the detections."""
        first = int(np.searchsorted(self.detections.slots, slots[0]))
        part = slice(first, first + len(slots))
        return PulseStates(self.states.bits[part], self.states.bases[part], self.states.intensities[part])


def _batches(case: Case) -> Iterator[_Batch]:
    random = np.random.default_rng(1)
    end = 0
    for _ in range(BATCHES):
        slots = end + np.cumsum(random.geometric(1 / case.mean_gap, BATCH))
        first, end = end, int(slots[-1]) + 1
        bits, bases, sent_bases = (
            (random.random(BATCH) < chance).astype(np.uint8) for chance in (0.5, 1 - Z_PROBABILITY, 1 - Z_PROBABILITY)
        )
        sent_bits = bits ^ (random.random(BATCH) < ERROR_RATE).astype(np.uint8)
        doubles = random.random(BATCH) < 0.01
        intensities = random.integers(0, case.intensities, BATCH, np.uint8)
        detections = Detections(first, end, slots, bases, bits, doubles)
        yield _Batch(detections, PulseStates(sent_bits, sent_bases, intensities))


def measure() -> list[tuple[str, str]]:
    """Rows of a table: what, and the figure. CPU time, the median over batches."""
    warm_up()
    rows = []
    for case in CASES:
        receiver = ReceiverSifting(BLOCK_BITS, case.intensities)
        transmitter = TransmitterSifting(BLOCK_BITS, case.intensities)
        receiver_s, transmitter_s, size_bytes = [], [], 0
        for batch in _batches(case):
            begin = time.thread_time()
            payloads = receiver.announce(batch.detections)
            announced = time.thread_time()
            answers = [transmitter.detections(payload, batch.sent) for payload in payloads]
            answered = time.thread_time()
            for answer in answers:
                receiver.sifted(answer)
            end = time.thread_time()
            receiver_s.append(announced - begin + end - answered)
            transmitter_s.append(answered - announced)
            size_bytes += sum(len(message) for message in payloads + answers)
            receiver.take_round()
            transmitter.take_round()
        both, sending, receiving = (
            BATCH / median(times) / 1e6
            for times in (map(sum, zip(receiver_s, transmitter_s, strict=True)), transmitter_s, receiver_s)
        )
        rows.append(
            (
                f"sifting, {case.name}",
                f"{both:.0f} million detections/s per core (transmitter {sending:.0f}, receiver {receiving:.0f}), "
                f"{size_bytes / BATCH / BATCHES:.2f} bytes each",
            )
        )
    return rows


if __name__ == "__main__":
    for name, figure in measure():
        print(f"{name}: {figure}")
