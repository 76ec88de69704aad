"""What Cascade costs: CPU time of both parties, bits disclosed, frames left wrong, waves and bytes of a round.

Each party runs by itself with the messages that the other one sent, as it does on a machine of its own; together in one
thread they would push each other out of the processor's cache. That figure is given as well.
"""

import math
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np

from keyhop.link.bb84.reconciliation import Bits
from keyhop.link.bb84.reconciliation.cascade import Cascade

ROUND_BITS = 24_000_000
ERROR_RATES = (0.01, 0.02, 0.03, 0.05)
SEED = b"bench"
RUNS = 3


@dataclass(frozen=True)
class Exchange:
    """A whole round: what each side sent, and the CPU time of both, taking turns in one thread."""

    reference: Cascade
    correcting: Cascade
    from_reference: list[bytes]
    from_correcting: list[bytes]
    cpu_s: float


def exchange(bits: Bits, noisy: Bits, qber: float) -> Exchange:
    """Both sides in turn."""
    begin = time.thread_time()
    reference, correcting = Cascade("reference", bits, qber, SEED), Cascade("correcting", noisy, qber, SEED)
    sent: tuple[list[bytes], list[bytes]] = ([], [])
    out, back = reference.start(), correcting.start()
    while out:
        sent[0].extend(out)
        sent[1].extend(back)
        out, back = reference.received(back[0]), correcting.received(out[0])
    _results(reference)
    _results(correcting)
    return Exchange(reference, correcting, *sent, time.thread_time() - begin)


def alone_s(side: Literal["reference", "correcting"], bits: Bits, qber: float, messages: list[bytes]) -> float:
    """CPU time of one side when the messages of the other are at hand: from bits to corrected bits and errors."""
    begin = time.thread_time()
    cascade = Cascade(side, bits, qber, SEED)
    cascade.start()
    for message in messages:
        cascade.received(message)
    _results(cascade)
    return time.thread_time() - begin


def _results(cascade: Cascade) -> tuple[Bits, int]:
    return cascade.bits, cascade.error_positions.size


def wrong_frames(bits: Bits, corrected: Bits, frames: tuple[int, ...]) -> int:
    """How many frames still differ."""
    starts = np.concatenate(([0], np.cumsum(frames)[:-1]))
    return int(np.count_nonzero(np.add.reduceat(bits != corrected, starts)))


def measure() -> list[tuple[str, str]]:
    """What was measured, and the figure."""
    random = np.random.default_rng(1)
    bits = random.integers(0, 2, ROUND_BITS, np.uint8)
    exchange(bits[:2_000], bits[:2_000], 0.02)
    rows = []
    for rate in ERROR_RATES:
        noisy = np.bitwise_xor(bits, (random.random(ROUND_BITS) < rate).astype(np.uint8))
        whole = exchange(bits, noisy, rate)
        sides_s = [
            min(alone_s("reference", bits, rate, whole.from_correcting) for _ in range(RUNS)),
            min(alone_s("correcting", noisy, rate, whole.from_reference) for _ in range(RUNS)),
        ]
        together_s = min(whole.cpu_s, *(exchange(bits, noisy, rate).cpu_s for _ in range(RUNS - 1)))
        errors = np.count_nonzero(bits != noisy) / ROUND_BITS
        entropy = -(errors * math.log2(errors) + (1 - errors) * math.log2(1 - errors))
        frames = whole.reference.frames
        wrong = wrong_frames(bits, whole.correcting.bits, frames)
        what = f"Cascade, {ROUND_BITS:,} bits, errors {rate:.0%}"
        rows += [
            (f"{what}, CPU of both parties", f"{ROUND_BITS / sum(sides_s) / 1e6:.0f} Mbit/s per core"),
            (f"{what}, the same in one thread", f"{ROUND_BITS / together_s / 1e6:.0f} Mbit/s per core"),
            (f"{what}, efficiency f", f"{whole.reference.disclosed_bits / (ROUND_BITS * entropy):.4f}"),
            (f"{what}, wrong frames", f"{wrong} of {len(frames)}"),
            (f"{what}, waves", f"{whole.reference.waves}"),
            (f"{what}, sent by each side", f"{sum(map(len, whole.from_reference)):,} bytes"),
        ]
    return rows


if __name__ == "__main__":
    for what, figure in measure():
        print(f"{what}: {figure}")
