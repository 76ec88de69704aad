"""One-way reconciliation: how fast, and how many more bits than Shannon's limit it discloses.

    bench/link_ldpc.py

CPU time of both parties together, on one core; the codes are made and the kernels compiled before.
"""

import math
import time

import numpy as np

from keyhop.link.bb84.reconciliation.ldpc import Ldpc
from keyhop.link.bb84.reconciliation.ldpc_kernels import warm_up

QBERS = (0.01, 0.02, 0.03, 0.05)
ROUND_BITS = 200 << 17


def binary_entropy(probability: float) -> float:
    """In bits."""
    return -probability * math.log2(probability) - (1 - probability) * math.log2(1 - probability)


def reconcile(random: np.random.Generator, bits: int, qber: float) -> tuple[Ldpc, float]:
    """One round between two parties in this process: the receiver's side, and the CPU seconds of both."""
    reference = random.integers(0, 2, bits, dtype=np.uint8)
    received = reference ^ (random.random(bits) < qber).astype(np.uint8)
    begin = time.process_time()
    transmitter = Ldpc("reference", reference, qber, b"")
    receiver = Ldpc("correcting", received, qber, b"")
    syndromes = transmitter.start()
    receiver.start()
    for message in syndromes:
        for answer in receiver.received(message):
            transmitter.received(answer)
    return receiver, time.process_time() - begin


def measure() -> list[tuple[str, str]]:
    """What was measured and its value, for people."""
    warm_up()
    random = np.random.default_rng(1)
    figures = []
    for qber in QBERS:
        reconcile(random, ROUND_BITS // 200, qber)
        receiver, cpu_s = reconcile(random, ROUND_BITS, qber)
        wrong, frames = len(receiver.wrong_frames), len(receiver.frames)
        efficiency = receiver.disclosed_bits / ROUND_BITS / binary_entropy(qber)
        figures.append(
            (
                f"LDPC at a QBER of {qber:.0%}",
                f"{ROUND_BITS / cpu_s / 1e6:.0f} Mbit/s per core, f = {efficiency:.3f}, "
                f"{wrong} of {frames} frames wrong, {np.mean(receiver.iterations):.1f} iterations",
            )
        )
    return figures


if __name__ == "__main__":
    for name, figure in measure():
        print(f"{name}: {figure}")
