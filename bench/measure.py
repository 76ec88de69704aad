"""One round: a load on one server, the CPU time that it cost, and whether the host let us measure at all."""

import time
from collections.abc import Callable

import msgspec

from load import Load, LoadGenerator, Order
from stolen import StolenShare

MAX_STOLEN = 0.10
ATTEMPTS = 3


class Round(msgspec.Struct, frozen=True):
    """What one round showed; CPU times in seconds over the round, `stolen` a share, `attempt` counted from 1."""

    what: str
    keys_per_request: int
    connections: int
    load: Load
    server_cpu_s: float
    other_cpu_s: float
    stolen: float
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
        server, others = cpu_s(case.server), sum(map(cpu_s, case.others))
        load.go()
        server, others = cpu_s(case.server) - server, sum(map(cpu_s, case.others)) - others
        stolen = share.end()
        return Round(case.what, case.keys_per_request, connections, load.result(), server, others, stolen, attempt)
