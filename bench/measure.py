"""One round: a load on one server, the CPU time that it cost, and how far host and neighbours let us measure."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from load import Load, LoadGenerator, Order
from stolen import StolenShare

MAX_STOLEN = 0.10
ATTEMPTS = 3


class Round(msgspec.Struct, frozen=True):
    """What one round showed: CPU times in seconds over the round, `attempt` counted from 1.

    `stolen` is the share of the cores that the host took; `neighbours` the share that went to other processes.
    """

    what: str
    keys_per_request: int
    connections: int
    load: Load
    server_cpu_s: float
    other_cpu_s: float
    stolen: float
    neighbours: float
    attempt: int

    @property
    def requests_per_s(self) -> float:
        """Answers per second of wall clock."""
        return self.load.requests / self.load.seconds

    @property
    def keys_per_s(self) -> float:
        """Keys per second of wall clock."""
        return self.requests_per_s * self.keys_per_request

    @property
    def requests_per_cpu_s(self) -> float:
        """Answers per second of the server's CPU time: what the load generator or neighbours take does not count."""
        return self.load.requests / self.server_cpu_s


class Idle(msgspec.Struct, frozen=True):
    """While nobody asks for keys and the link runs at `rate_bps`: the nodes' shares of a core, and the disk."""

    rate_bps: int
    alice: float
    bob: float
    fdatasync_ms: float


class Case(msgspec.Struct, frozen=True):
    """What is asked and who answers. `order` is called before every attempt; `others` are the server's helpers."""

    what: str
    keys_per_request: int
    order: Callable[[], Order]
    server: int
    others: tuple[int, ...] = ()


def measure(generator: LoadGenerator, case: Case, connections: int, seconds: float) -> Round:
    """The round's least disturbed attempt: of up to three, the first of which no more than a tenth was stolen."""
    attempts: list[Round] = []
    while len(attempts) < ATTEMPTS and not (attempts and attempts[-1].stolen <= MAX_STOLEN):
        attempts.append(_attempt(generator, case, connections, seconds, len(attempts) + 1))
    return min(attempts, key=lambda attempt: attempt.stolen)


def cpu_s(pid: int) -> float:
    """CPU time of a process and all its threads so far, in seconds, finer than /proc/PID/stat has it."""
    clock = (~pid << 3) | 2  # as clock_getcpuclockid(3) makes it
    return time.clock_gettime(clock)


def _attempt(generator: LoadGenerator, case: Case, connections: int, seconds: float, attempt: int) -> Round:
    with generator.started(case.order(), connections, seconds) as load:
        share = StolenShare()
        ours = (case.server, *case.others, load.pid)
        before, busy, begin = [cpu_s(pid) for pid in ours], _busy_s(), time.monotonic()
        load.go()
        spent = [cpu_s(pid) - earlier for pid, earlier in zip(ours, before, strict=True)]
        taken = _busy_s() - busy - sum(spent)
        cores_s = (time.monotonic() - begin) * (os.cpu_count() or 1)
        return Round(
            case.what,
            case.keys_per_request,
            connections,
            load.result(),
            server_cpu_s=spent[0],
            other_cpu_s=sum(spent[1:-1]),
            stolen=share.end(),
            neighbours=max(0.0, taken / cores_s),
            attempt=attempt,
        )


def _busy_s() -> float:
    """CPU time of all processes of this machine so far: user, nice, system and both kinds of interrupts."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(int(fields[column]) for column in (1, 2, 3, 6, 7)) / os.sysconf("SC_CLK_TCK")
