"""Keys that are relayed when they are asked for, between continents: real nodes, real delays, and the limit.

Five nodes in a row, an ocean between the first and the others. The limit of enc_keys is the delay along the path and
that of the answer. The master tells the slave the ID of its key, which takes the delay as well; then the slave asks.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from disk import fdatasync_ms
from keyhop.lab import Lab
from relay_saes import Sae, chain, lab
from report import Aim, Row, Section
from stolen import StolenShare

ONE_WAY_MS = 45.0
MOST_RATIO = 1.2
PAPER_MS = {"enc_keys": "365 +- 81", "dec_keys": "18 +- 5"}
WARM_S = 5.0
STRATEGIES = ("hop-by-hop", "xor-at-destination")


def section(requests: int) -> Section:
    """Both strategies that one path is enough for."""
    with TemporaryDirectory(prefix="keyhop-bench-") as directory:
        disk_ms = fdatasync_ms(Path(directory))
    rows: list[Row] = []
    ratios: list[float] = []
    for strategy in STRATEGIES:
        relay = {"buffering": "on-demand", "strategy": strategy}
        with lab(chain(relay, ONE_WAY_MS)) as running:
            time.sleep(WARM_S)
            for hops in (2, 4):
                found = _rows(running, strategy, hops, requests)
                rows += found
                ratios += [float(row["p50 of limit"] or 0) for row in found if row["what"] == "enc_keys"]
    aims = [Aim("enc_keys on demand over its unavoidable round trip", max(ratios), MOST_RATIO, at_least=False)]
    notes = [
        f"one-way delay {ONE_WAY_MS:g} ms between the first node and all others; one key of 256 bits a request, one at",
        "a time. `limit`: the delay along the path and back, for dec_keys nothing; each node but the first commits on",
        f"the way, an fdatasync takes {disk_ms:.1f} ms here. `paper`: Toshiba's, as far apart.",
    ]
    return Section("keys relayed on demand, over an ocean", rows, aims, notes)


def _rows(running: Lab, strategy: str, hops: int, requests: int) -> list[Row]:
    inventory = running.inventory()
    master, slave = Sae(inventory, "n0-1"), Sae(inventory, f"n{hops}-1")
    share = StolenShare()
    bare, enc, dec = [], [], []
    try:
        slave.status(master.name)
        master.status(slave.name)
        for _ in range(requests):
            bare.append(_timed(partial(master.status, slave.name))[0])
            took_ms, key_id = _timed(partial(master.enc_keys, slave.name))
            enc.append(took_ms)
            time.sleep(ONE_WAY_MS / 1e3)
            dec.append(_timed(partial(slave.dec_keys, master.name, key_id))[0])
    finally:
        master.close()
        slave.close()
    stolen = share.end()
    return [
        _row(strategy, hops, "status", bare, 0.0, stolen),
        _row(strategy, hops, "enc_keys", enc, 2 * ONE_WAY_MS, stolen),
        _row(strategy, hops, "dec_keys", dec, 0.0, stolen),
    ]


def _row(strategy: str, hops: int, what: str, times_ms: Sequence[float], limit_ms: float, stolen: float) -> Row:
    p50, p99 = percentile(times_ms, 0.5), percentile(times_ms, 0.99)
    return {
        "strategy": strategy,
        "hops": float(hops),
        "what": what,
        "requests": float(len(times_ms)),
        "p50 ms": p50,
        "p99 ms": p99,
        "limit ms": limit_ms or None,
        "p50 of limit": p50 / limit_ms if limit_ms else None,
        "p99 of limit": p99 / limit_ms if limit_ms else None,
        "paper ms": PAPER_MS.get(what),
        "stolen": stolen,
    }


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def _timed[T](ask: Callable[[], T]) -> tuple[float, T]:
    begin = time.perf_counter()
    answer = ask()
    return 1e3 * (time.perf_counter() - begin), answer
