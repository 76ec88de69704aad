"""Whether memory stays as it is over millions of requests: half of them fresh keys at alice, half the same at bob."""

from dataclasses import replace
from pathlib import Path
from statistics import linear_regression, median

from load import LoadGenerator, Way
from memory import MIB, rss_mib
from progress import say
from report import Aim, Row, Section
from servers import SLOW_LINE, Servers, servers

STOCK_BYTES = 4 * MIB
# What a node keeps is bounded, and this is how much; unfetched keys never come near it, since all are fetched.
SETTINGS = {
    "policy": {"stock_bytes": STOCK_BYTES, "unfetched_bytes": 4 * MIB},
    "audit": {"keep_files": 2},
}
CONNECTIONS = 16
TURNS = 100
MOST_PER_TURN = 50_000
WARM_UP = 500_000  # requests: tables and the allocator's pools have found their size by then
ENOUGH_FOR_A_SLOPE = 1_000_000
AIM_MIB = 0.5
A_LONG_TIME_S = 600.0


def soak(generator: LoadGenerator, directory: Path, requests: float) -> Section:
    """Over that many requests, with full stocks from the beginning on."""
    half = max(1, int(min(requests / TURNS, MOST_PER_TURN) / 2))
    samples: list[tuple[float, float, float]] = []
    with servers(generator, directory, SLOW_LINE, SETTINGS) as here:
        for kme in ("alice", "bob"):
            here.sites.await_stock(kme, STOCK_BYTES // 2)
        done = 0
        samples.append(_sample(here, done))
        while done < requests:
            done += _turn(here, half)
            samples.append(_sample(here, done))
            say(f"{done:,} of {requests:,.0f} requests: {samples[-1][1]:.1f} and {samples[-1][2]:.1f} MiB")
    settled = [sample for sample in samples if sample[0] >= min(WARM_UP, done / 2)]
    rows = [
        _row(kme, [s[at] for s in samples], [(s[0], s[at]) for s in settled]) for at, kme in ((1, "alice"), (2, "bob"))
    ]
    growth = [row["MiB per million requests"] for row in rows]
    measured = max(g for g in growth if isinstance(g, float)) if done >= ENOUGH_FOR_A_SLOPE else None
    aim = Aim("memory over many requests, MiB per million", measured, AIM_MIB, at_least=False)
    return Section(f"Memory over {done:,} requests", rows, [aim])


def _turn(here: Servers, half: int) -> int:
    """Keys at alice, and the same keys at bob; how many requests these were."""
    answers = here.directory / "given-out"
    way = Way(CONNECTIONS, A_LONG_TIME_S)
    given_out = here.generator.fetch(replace(here.sites.enc_keys(1, half), answers=answers), way)
    fetched = here.generator.fetch(here.sites.fetch_again(answers), way)
    if given_out.refused or fetched.refused or fetched.requests < half:
        raise RuntimeError(f"of {2 * half} requests {given_out.refused + fetched.refused} were refused")
    return given_out.requests + fetched.requests


def _sample(here: Servers, done: int) -> tuple[float, float, float]:
    return done, rss_mib(here.sites.alice), rss_mib(here.sites.bob)


def _row(kme: str, all_mib: list[float], settled: list[tuple[float, float]]) -> Row:
    requests, mib = zip(*settled, strict=True)
    return {
        "node": kme,
        "start MiB": all_mib[0],
        "settled MiB": mib[0],
        "median MiB": median(mib),
        "max MiB": max(all_mib),
        "end MiB": mib[-1],
        "MiB per million requests": linear_regression(requests, mib).slope * 1e6,
    }
