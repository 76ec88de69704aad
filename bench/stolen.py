"""How much of the cores the host took away, for benchmarks on machines that are shared.

Two signs, since not every host admits to it: `steal` in /proc/stat, and short spin loops before and after. A spin
loop sees every interruption as a gap between two readings of the clock. While another process of this machine runs,
our CPU clock stands still; when the host takes the core away unsaid, our CPU clock goes on although we do nothing.
"""

import os
import time
from pathlib import Path

SPIN_S = 0.05
GAP_NS = 50_000
MAX_CORES = 4


class StolenShare:
    """Covers the time from its making to `end`."""

    def __init__(self) -> None:
        self._spun = _spin_on_all_cores()
        self._steal = _steal_s()
        self._begin = time.monotonic()

    def end(self) -> float:
        """The share of the cores that was taken away, 0 to 1: the worse of the two signs."""
        seconds = time.monotonic() - self._begin
        admitted = (_steal_s() - self._steal) / (seconds * (os.cpu_count() or 1))
        return max(admitted, self._spun, _spin_on_all_cores())


def _spin_on_all_cores() -> float:
    ours = os.sched_getaffinity(0)
    try:
        shares = []
        for core in sorted(ours)[:MAX_CORES]:
            os.sched_setaffinity(0, {core})
            shares.append(_spin())
        return sum(shares) / len(shares)
    finally:
        os.sched_setaffinity(0, ours)


def _spin() -> float:
    gaps = 0
    clock = time.perf_counter_ns
    cpu_begin, begin = time.thread_time_ns(), clock()
    end, last = begin + int(SPIN_S * 1e9), begin
    while last < end:
        now = clock()
        if now - last > GAP_NS:
            gaps += now - last
        last = now
    on_paper = time.thread_time_ns() - cpu_begin
    spun = last - begin - gaps
    return max(0.0, 1 - spun / on_paper)


def _steal_s() -> float:
    """Seconds that the host says it took, of all cores together."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")
