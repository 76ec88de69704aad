"""How fast a key is hashed by a fresh Toeplitz matrix: CPU time of one core, at one of the two parties."""

import time
from collections.abc import Callable

import numpy as np

from keyhop.link.bb84.amplification import additive_fft_kernels, basis_change_kernels
from keyhop.link.bb84.amplification.additive_fft import product_window, transform
from keyhop.link.bb84.amplification.toeplitz import (
    good_key_bits,
    seed_bytes,
    toeplitz_hash,
    transform_log_size,
)

CASES = (
    (1 << 20, 0.27),
    (1 << 20, 0.5),
    (24_000_000, 0.27),
    (24_000_000, 0.5),
    (good_key_bits(24_000_000, 0.5) // 8 * 8, 0.5),
)
"""Bits of key, and the part of them that comes out. The last but one does not fill its transform."""

LEAST_S = 0.3


def best_cpu_s(work: Callable[[], object]) -> float:
    """The least CPU time of several runs, in seconds."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < LEAST_S:
        begin = time.thread_time()
        work()
        times.append(time.thread_time() - begin)
    return min(times)


def measure() -> list[tuple[str, str]]:
    """What was measured, and the figure: the whole, and without the transform of the seed."""
    additive_fft_kernels.warm_up()
    basis_change_kernels.warm_up()
    random = np.random.default_rng(1)
    rows = []
    for key_bits, fraction in CASES:
        output_bits = int(key_bits * fraction)
        key = random.integers(0, 256, key_bits // 8, np.uint8)
        seed = random.bytes(seed_bytes(key_bits, output_bits))
        log_size = transform_log_size(key_bits, output_bits)
        seed_values = transform(np.frombuffer(seed, np.uint8), log_size)
        whole_s = best_cpu_s(lambda: toeplitz_hash(key, key_bits, seed, output_bits))  # noqa: B023  # called at once
        key_side_s = best_cpu_s(
            lambda: product_window(transform(key, log_size), seed_values, key_bits - 1, output_bits)  # noqa: B023
        )
        what = f"Toeplitz hash, {key_bits:,} bits to {output_bits:,} (2^{log_size} points)"
        rows.append((f"{what}, whole", f"{key_bits / whole_s / 1e6:.0f} Mbit/s per core"))
        rows.append((f"{what}, without the seed's transform", f"{key_bits / key_side_s / 1e6:.0f} Mbit/s per core"))
    return rows


if __name__ == "__main__":
    for what, figure in measure():
        print(f"{what}: {figure}")
