"""Thousands of real `kill -9` while SAEs work: .venv/bin/python bench/crashes.py [--kills N] [--jobs 1|2] [--seed S]

Two nodes of a lab are killed at random moments: at work, amid fetches, both at once, and while they start. After each
recovery every key that a master was given and nobody fetched is there, and none that was fetched comes again; no byte
is used under two IDs. What is burnt is measured. Each batch of kills has a lab and a seed of its own, so that a
failure can be looked at and tried again. Ends with 1 when a promise was broken.
"""

import argparse
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import msgspec

from crashes_batch import Batch
from progress import say
from stolen import StolenShare

BATCH_KILLS = 250
AIM_KILLS = 10_000
AIM_S = 45 * 60
COLUMNS = ("seed", "kills", "s per kill", "keys", "exchanges", "burnt B per kill", "recovery s", "worst", "promises")


def main() -> None:
    """Runs the batches, prints each as it ends, and all of them together."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=AIM_KILLS, help=f"how many (default {AIM_KILLS})")
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=2, help="labs at a time (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the first batch; the others count on from it")
    options = parser.parse_args()
    first = options.seed or random.SystemRandom().randrange(1, 1 << 31)
    sizes = [min(BATCH_KILLS, options.kills - done) for done in range(0, options.kills, BATCH_KILLS)]
    begin, share, done = time.monotonic(), StolenShare(), list[Batch]()
    print(*COLUMNS, sep="\t", flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        for ended in as_completed([pool.submit(_run, first + i, size) for i, size in enumerate(sizes)]):
            done.append(ended.result())
            say("")
            _print_row(done[-1])
            say(f"{sum(batch.kill_count for batch in done)} of {options.kills} kills")
    say("")
    _print_all(done, time.monotonic() - begin, share.end())
    sys.exit(any(batch.broken for batch in done))


def _run(seed: int, kills: int) -> Batch:
    command = [sys.executable, str(Path(__file__).with_name("crashes_batch.py")), str(seed), str(kills)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(answer.stdout, type=Batch)


def _print_row(batch: Batch) -> None:
    kills = max(batch.kill_count, 1)
    print(
        batch.seed,
        batch.kill_count,
        f"{batch.seconds / kills:.3f}",
        batch.keys,
        batch.exchanges,
        f"{batch.burnt_bytes / kills:.0f}",
        f"{batch.median_recovery_s:.3f}",
        f"{batch.worst_recovery_s:.2f}",
        batch.broken or "kept",
        sep="\t",
        flush=True,
    )


def _print_all(done: list[Batch], seconds: float, stolen: float) -> None:
    phases = Counter[str]()
    for batch in done:
        phases.update(batch.kills)
    kills = phases.total()
    broken = sum(batch.broken is not None for batch in done)
    print()
    print(f"{kills} kills in {seconds:.0f} s, {seconds / max(kills, 1):.3f} s each: ", end="")
    print(", ".join(f"{count} {phase}" for phase, count in phases.most_common()), end="; ")
    print(f"the host took {stolen:.0%} of the cores")
    burnt = sum(batch.burnt_bytes for batch in done) / max(kills, 1)
    print(f"{sum(batch.keys for batch in done)} keys; a kill burnt {burnt:.0f} B")
    print("nothing lost, nothing twice" if not broken else f"PROMISES BROKEN in {broken} of {len(done)} batches")
    aim_s = AIM_S * kills / AIM_KILLS
    print(f"aim: {AIM_KILLS} kills in {AIM_S // 60} min: {'met' if seconds <= aim_s else 'missed'} at this rate")


if __name__ == "__main__":
    main()
