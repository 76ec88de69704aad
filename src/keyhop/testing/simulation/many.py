"""Many schedules, on several cores."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import batched
from multiprocessing import get_context

from keyhop.testing.simulation.run import run
from keyhop.testing.simulation.schedule import draw

BATCH = 50
"""How many schedules a process runs until it tells: some second's worth."""


@dataclass(slots=True)
class Batch:
    """What came of some seeds: how often each kind of thing happened, and which seeds broke a promise."""

    schedules: int = 0
    broken: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def run_many(seeds: range, jobs: int, network: str | None = None) -> Iterator[Batch]:
    """Runs the seeds in as many processes; batches come as they are done, in the order of their seeds."""
    work = partial(_run_batch, network)
    if jobs == 1:
        yield from map(work, batched(seeds, BATCH, strict=False))
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as processes:
        try:
            yield from processes.map(work, batched(seeds, BATCH, strict=False))
        finally:
            processes.shutdown(wait=True, cancel_futures=True)


def _run_batch(network: str | None, seeds: Sequence[int]) -> Batch:
    batch = Batch()
    for seed in seeds:
        outcome = run(draw(seed, network))
        batch.schedules += 1
        batch.counts += outcome.trace.counts
        if outcome.violation is not None:
            batch.broken.append(seed)
            break
    return batch
