"""What relay costs and how long it takes: .venv/bin/python bench/relay.py [--only PART,PART] [--quick]

Parts are `hops`, `carried`, `filled`, `demand`, `tampered`, `metro`, `scarce`: README.md says what each of them shows.
"""

import argparse
import cProfile
import pstats
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import relay_carried
import relay_demand
import relay_filled
import relay_hops
import relay_metro
import relay_scarce
import relay_tampered
from load import LoadGenerator
from priority import go_first
from report import Report, Section

PROFILED = 25


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    parser.add_argument("--quick", action="store_true", help="a first look: short rounds, few requests and messages")
    parser.add_argument("--messages", type=float, help="altered messages; a million, or 20,000 for a first look")
    parser.add_argument("--profile", action="store_true", help="show where `hops` spends its time")
    parser.add_argument("--json", type=Path, help="a file for everything that was measured")
    options = parser.parse_args()
    wanted = options.only.split(",")
    unknown = set(wanted) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    report = Report(niceness=go_first())
    for part in wanted:
        for section in PARTS[part](options):
            report.add(section)
    report.end(options.json)


def _hops(options: argparse.Namespace) -> Iterator[Section]:
    profile = cProfile.Profile() if options.profile else None
    yield relay_hops.section(0.2 if options.quick else 1.0, profile)
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(PROFILED)


def _carried(options: argparse.Namespace) -> Iterator[Section]:
    yield relay_carried.section(2.0 if options.quick else 5.0)


def _filled(options: argparse.Namespace) -> Iterator[Section]:
    seconds = 0.5 if options.quick else 1.0
    yield relay_filled.in_process(seconds)
    with tempfile.TemporaryDirectory(prefix="keyhop-bench-") as directory:
        yield relay_filled.real(LoadGenerator(Path(directory)), Path(directory), seconds)


def _demand(options: argparse.Namespace) -> Iterator[Section]:
    yield relay_demand.section(20 if options.quick else 100)


def _tampered(options: argparse.Namespace) -> Iterator[Section]:
    yield relay_tampered.section(int(options.messages or (2e4 if options.quick else 1e6)))


def _metro(options: argparse.Namespace) -> Iterator[Section]:
    yield relay_metro.section(10.0 if options.quick else 30.0)


def _scarce(options: argparse.Namespace) -> Iterator[Section]:
    yield relay_scarce.section(60.0 if options.quick else 300.0)


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Section]]] = {
    "hops": _hops,
    "carried": _carried,
    "filled": _filled,
    "demand": _demand,
    "tampered": _tampered,
    "metro": _metro,
    "scarce": _scarce,
}

if __name__ == "__main__":
    main()
