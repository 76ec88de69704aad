"""A hundred thousand seeded schedules of requests and faults: bench/simulation.py [--seeds N] [--from S] [--jobs J]

See README.md here for what it prints. It ends by itself and leaves nothing behind.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from keyhop.testing.simulation import draw
from keyhop.testing.simulation.many import run_many
from progress import say
from stolen import StolenShare

SEEDS = 100_000
JOBS = 2
WITHIN_S = 1800.0
MEASURE_S = 60.0
"""How often the host's share is measured: schedules rest meanwhile, for a tenth of a second."""
FAULTS = (
    "crashed",
    "killed",
    "stopped",
    "frozen",
    "store failed",
    "disk fault",
    "did not start",
    "clock set",
    "lost",
    "repeated",
    "received a straggler",
    "found half-open",
    "found silent",
    "restored",
    "altered",
    "bad block",
)
"""Beginnings of what happened."""


def main() -> None:
    """Runs them, and says how it went; exit status 1 if a promise was broken."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=SEEDS)
    options.add_argument("--from", type=int, default=0, dest="first")
    options.add_argument("--jobs", type=int, default=JOBS)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    counts, schedules, broken, stolen = Counter[str](), 0, list[int](), list[float]()
    began, share = time.monotonic(), StolenShare()
    measured = began
    for batch in run_many(range(chosen.first, chosen.first + chosen.seeds), chosen.jobs):
        counts += batch.counts
        schedules += batch.schedules
        broken += batch.broken
        now = time.monotonic()
        if now - measured > MEASURE_S:
            stolen.append(share.end())
            measured, share = time.monotonic(), StolenShare()
        say(f"{schedules} schedules, {schedules / (now - began):.1f} per second, {len(broken)} violations")
    seconds = time.monotonic() - began
    stolen.append(share.end())
    say("")
    document = {
        "schedules": schedules,
        "seconds": round(seconds, 1),
        "per_second": round(schedules / seconds, 1),
        "within_the_aim": schedules / seconds >= SEEDS / WITHIN_S,
        "stolen": round(sum(stolen) / len(stolen), 3),
        "violations": broken,
        "networks": dict(Counter(draw(chosen.first + seed).setting.network for seed in range(min(schedules, 1000)))),
        "requests": counts["asked"],
        "answers_with_keys": counts["answered with keys"],
        "messages": counts["sent"],
        "faults": {fault: sum(n for what, n in counts.items() if what.startswith(fault)) for fault in FAULTS},
        "power_lost": {what[8:]: n for what, n in sorted(counts.items()) if what.startswith("crashed ")},
    }
    if chosen.json:
        chosen.json.write_text(json.dumps(document, indent=2) + "\n")
    _print(document)
    raise SystemExit(1 if broken else 0)


def _print(document: dict[str, object]) -> None:
    for name, value in document.items():
        if isinstance(value, dict):
            print(f"{name.replace('_', ' ')}:")
            for what, count in value.items():
                print(f"    {what:40} {count:>12,}")
        else:
            print(f"{name.replace('_', ' '):24} {value}")


if __name__ == "__main__":
    main()
