"""Altered messages of the relay by the million: how many of them are believed."""

import itertools
import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from keyhop.testing.relays.tampering import Outcome, Tampering
from report import Aim, Row, Section

PORTION = 20_000


def section(messages: int) -> Section:
    """So many altered messages that can be read."""
    outcome, begin = Outcome(Counter()), time.perf_counter()
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores) as pool:
        seeds = itertools.count(time.time_ns() & 0xFFFFFFFF)
        while _read(outcome) < messages:
            portion = min(PORTION, messages)
            for part in pool.map(_portion, itertools.islice(seeds, cores), itertools.repeat(portion, cores)):
                outcome.add(part)
    elapsed = time.perf_counter() - begin
    row: Row = {
        "messages": float(_read(outcome)),
        **{kind: float(count) for kind, count in sorted(outcome.tried.items())},
        "unreadable": float(outcome.unreadable),
        "believed": float(outcome.believed),
        "messages/s": _read(outcome) / elapsed,
    }
    notes = ["`unreadable` ones, which count as none, are no messages any more; half of all are altered in one bit"]
    aim = Aim("altered relay messages that were believed", float(outcome.believed), 0.0, at_least=False)
    return Section("altered relay messages", [row], [aim], notes)


def _read(outcome: Outcome) -> int:
    return sum(outcome.tried.values()) - outcome.unreadable


def _portion(seed: int, count: int) -> Outcome:
    return Tampering(seed).run(count)
