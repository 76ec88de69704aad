"""Many schedules, on several cores."""

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import batched
from multiprocessing import get_context
from multiprocessing.connection import Connection
from signal import SIG_IGN, SIGINT, signal

from keyhop.testing.simulation.run import run
from keyhop.testing.simulation.schedule import draw

BATCH = 50
"""How many schedules a process runs: some second's worth. What they leave behind takes some 200 MiB."""

_processes = get_context("forkserver")


@dataclass(slots=True)
class Batch:
    """What came of some seeds: how often each kind of thing happened, and which seeds broke a promise."""

    schedules: int = 0
    broken: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def run_many(seeds: range, jobs: int, network: str | None = None) -> Iterator[Batch]:
    """Runs the seeds in as many processes at a time, or in this one if it is one; batches come in the order of their
    seeds."""
    batches = batched(seeds, BATCH, strict=False)
    if jobs == 1:
        yield from map(partial(_run, network), batches)
        return
    _processes.set_forkserver_preload(["__main__", __name__])
    with ThreadPoolExecutor(jobs) as waiters:
        try:
            yield from waiters.map(partial(_run_elsewhere, network), batches)
        finally:
            waiters.shutdown(wait=True, cancel_futures=True)


def _run_elsewhere(network: str | None, seeds: Sequence[int]) -> Batch:
    """In a process of its own, which is over before anybody looks for garbage: that took a twentieth of the time."""
    result, told = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_tell, args=(told, network, seeds))
    process.start()
    told.close()
    try:
        batch: Batch = result.recv()
    finally:
        result.close()
        process.join()
    return batch


def _tell(told: Connection, network: str | None, seeds: Sequence[int]) -> None:
    signal(SIGINT, SIG_IGN)  # whoever interrupts waits for the batches that have begun
    gc.disable()
    told.send(_run(network, seeds))


def _run(network: str | None, seeds: Sequence[int]) -> Batch:
    batch = Batch()
    for seed in seeds:
        outcome = run(draw(seed, network))
        batch.schedules += 1
        batch.counts += outcome.trace.counts
        if outcome.violation is not None:
            batch.broken.append(seed)
            break
    return batch
