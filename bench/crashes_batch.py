"""One lab, killed again and again: python bench/crashes_batch.py SEED KILLS, which prints a Batch as JSON.

A process of its own, so that what was seen of one lab's keys is forgotten with it, and two can run at a time.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "e2e"))

from crashing import Pace, Plan, burnt_bytes, fast_link, taken_for_restored
from forked_lab import ForkedLab
from witness import Saes, Witness, at_work, check_ledgers

PACE = Pace(undisturbed_s=(0.0, 0.06), starting_s=(0.0, 0.12))


class Batch(msgspec.Struct, frozen=True):
    """What came of one lab; times in seconds. `broken` says which promise was broken, and where the lab is kept."""

    seed: int
    kills: dict[str, int]
    keys: int
    exchanges: int
    burnt_bytes: int
    seconds: float
    median_recovery_s: float
    worst_recovery_s: float
    broken: str | None

    @property
    def kill_count(self) -> int:
        """Kills of all phases."""
        return sum(self.kills.values())


def run(seed: int, kills: int) -> Batch:
    """Sets up a lab, kills its nodes, holds what was seen against what is promised."""
    directory = Path(tempfile.mkdtemp(prefix="keyhop-crashes-"))
    witness, broken, burnt = Witness(), None, dict[str, int]()
    with ForkedLab.running(directory, fast_link()) as nodes, Saes.of(nodes.lab, witness) as saes:
        begin = time.monotonic()
        try:
            with at_work(saes, seed) as workers:
                plan = Plan(nodes, saes, workers, seed, PACE)
                while plan.kills.total() < kills and not any(worker.failure for worker in workers):
                    plan.crash()
            check_ledgers(nodes.lab)
            burnt = burnt_bytes(nodes.lab, saes, witness)
            assert not (told := taken_for_restored(nodes.lab)), f"{told} took their stores for old copies"
        except AssertionError as failure:
            broken = f"{failure}; see {directory}"
        seconds = time.monotonic() - begin
    if broken is None:
        shutil.rmtree(directory)
    return Batch(
        seed=seed,
        kills={str(phase): count for phase, count in plan.kills.items()},
        keys=len(witness.keys),
        exchanges=sum(worker.exchanges for worker in workers),
        burnt_bytes=sum(burnt.values()),
        seconds=seconds,
        median_recovery_s=median(plan.recoveries_s or [0.0]),
        worst_recovery_s=max(plan.recoveries_s or [0.0]),
        broken=broken,
    )


if __name__ == "__main__":
    print(msgspec.json.encode(run(*map(int, sys.argv[1:]))).decode())
