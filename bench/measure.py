"""One round: a load on one server, the CPU time that it cost, and how far host and neighbours let us measure."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from load import Load, LoadGenerator, Order, Way
from priority import at_once
from stolen import StolenShare

MAX_STOLEN = 0.10
ATTEMPTS = 3
IDLE_S = 1.0


class Round(msgspec.Struct, frozen=True):
    """What one round showed: CPU times in seconds over the round, `attempt` counted from 1.

    `interruptions` are how often the server's event loop lost its core in the midst of work. `stolen` is the share of
    the cores that the host took; `neighbours` the share that went to other processes.
    """

    what: str
    keys_per_request: int
    connections: int
    load: Load
    server_cpu_s: float
    other_cpu_s: float
    interruptions: int
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

    def cpu_per_request_s(self, idle: float = 0.0) -> float:
        """CPU time of the server per answer, without the share `idle` of a core that it takes while nobody asks."""
        return (self.server_cpu_s - idle * self.load.seconds) / self.load.requests


class Case(msgspec.Struct, frozen=True):
    """What is asked and who answers. `order` is called before every attempt; `others` are the server's helpers.

    `clients_on` names the cores that the clients have, before everybody else; on any, among equals, if there are none.
    """

    what: str
    keys_per_request: int
    order: Callable[[], Order]
    server: int
    others: tuple[int, ...] = ()
    clients_on: tuple[int, ...] = ()


def measure(generator: LoadGenerator, case: Case, way: Way) -> Round:
    """The round's least disturbed attempt: of up to three, the first of which no more than a tenth was stolen."""
    attempts: list[Round] = []
    while len(attempts) < ATTEMPTS and not (attempts and attempts[-1].stolen <= MAX_STOLEN):
        attempts.append(_attempt(generator, case, way, len(attempts) + 1))
    return min(attempts, key=lambda attempt: attempt.stolen)


def cpu_s(pid: int) -> float:
    """CPU time of a process and all its threads so far, in seconds, finer than /proc/PID/stat has it."""
    clock = (~pid << 3) | 2  # as clock_getcpuclockid(3) makes it
    return time.clock_gettime(clock)


def idle_shares(pids: list[int]) -> list[float]:
    """Of a core, what each takes while nobody asks."""
    begin = time.monotonic()
    before = [cpu_s(pid) for pid in pids]
    time.sleep(IDLE_S)
    seconds = time.monotonic() - begin
    return [(cpu_s(pid) - earlier) / seconds for pid, earlier in zip(pids, before, strict=True)]


def _attempt(generator: LoadGenerator, case: Case, way: Way, attempt: int) -> Round:
    with generator.started(case.order(), way) as load:
        if case.clients_on:
            at_once(load.pid, case.clients_on)
        share = StolenShare()
        ours = (case.server, *case.others, load.pid)
        before, busy, begin = [cpu_s(pid) for pid in ours], busy_s(), time.monotonic()
        interruptions = -_interruptions(case.server)
        load.go()
        interruptions += _interruptions(case.server)
        spent = [cpu_s(pid) - earlier for pid, earlier in zip(ours, before, strict=True)]
        taken = busy_s() - busy - sum(spent)
        cores_s = (time.monotonic() - begin) * (os.cpu_count() or 1)
        return Round(
            case.what,
            case.keys_per_request,
            way.connections,
            load.result(),
            server_cpu_s=spent[0],
            other_cpu_s=sum(spent[1:-1]),
            interruptions=interruptions,
            stolen=share.end(),
            neighbours=max(0.0, taken / cores_s),
            attempt=attempt,
        )


def _interruptions(pid: int) -> int:
    """How often the process's first thread has given way to others although it had more to do."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^nonvoluntary_ctxt_switches:\s+(\d+)$", status, re.MULTILINE)
    assert found
    return int(found[1])


def busy_s() -> float:
    """CPU time of all processes of this machine so far: user, nice, system and both kinds of interrupts."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(int(fields[column]) for column in (1, 2, 3, 6, 7)) / os.sysconf("SC_CLK_TCK")
