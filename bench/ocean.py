"""Keys of two domains with an ocean between them: .venv/bin/python bench/ocean.py [--quick] [--json FILE]

The shipped topology `toronto-cambridge`: six real nodes, ETSI GS QKD 020 between two of them, 45 ms each way. The limit
of enc_keys is one way there and one back: no master is given a key before its slave could have it.
"""

import argparse
import ssl
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from disk import fdatasync_ms
from keyhop.lab import Inventory, load_topology
from keyhop.lab.layout import Layout
from keyhop.lab.topology import Delay
from priority import go_first, session_first
from relay_demand import percentile
from relay_saes import Sae, lab
from report import Aim, Report, Row, Section
from stolen import StolenShare

TOPOLOGY = "toronto-cambridge"
MOST_RATIO = 1.2
PAPER_MS = {"enc_keys": "365 +- 81", "dec_keys": "18 +- 5"}
PAIRS = {
    "over two hops in each domain": ("application-a", "application-b"),
    "at the gateways": ("toronto-office", "cambridge-office"),
}
AT_ONCE = (1, 8)
WARM_REQUESTS = 3
PAUSE_S = 0.05


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a first look: few requests")
    parser.add_argument("--json", type=Path, help="a file for everything that was measured")
    options = parser.parse_args()
    report = Report(niceness=go_first())
    report.add(section(20 if options.quick else 100))
    report.end(options.json)


def section(requests: int) -> Section:
    """So many requests of each kind, on each connection."""
    topology = load_topology(TOPOLOGY)
    (delay,) = topology.delays
    limit_ms = 2 * delay.one_way_ms
    with TemporaryDirectory(prefix="keyhop-bench-") as directory:
        disk_ms = fdatasync_ms(Path(directory))
    with lab(topology) as running:
        inventory, layout = running.inventory(), Layout(running.directory)
        session_first(int(layout.delay_pid(delay.id).read_text()))  # the ocean is no wider while the machine is busy
        rows = [_bare(layout, delay, requests, limit_ms)]
        rows += [
            row
            for name, pair in PAIRS.items()
            for at_once in AT_ONCE
            for row in _rows(inventory, name, pair, at_once, requests, limit_ms)
        ]
    enc = [(row["at once"], float(row["p50 of limit"] or 0)) for row in rows if row["what"] == "enc_keys"]
    aims = [
        Aim(
            f"enc_keys of another domain, {at_once} at once, over one way there and one back",
            max(ratio for number, ratio in enc if number == at_once),
            MOST_RATIO,
            at_least=False,
        )
        for at_once in AT_ONCE
    ]
    notes = [
        f"one-way delay {delay.one_way_ms:g} ms between the gateways; one key of 256 bits a request. `limit`: one way",
        f"there and one back. The nodes on the way commit before they go on: an fdatasync takes {disk_ms:.1f} ms here.",
        "`versions`: one call from gateway to gateway, nothing but the ocean and HTTP. `at once`: so many connections,",
        "each of which asks again when it has its key. `paper`: Toshiba's, as far apart.",
    ]
    return Section("keys of two domains, with an ocean between", rows, aims, notes)


def _bare(layout: Layout, delay: Delay, requests: int, limit_ms: float) -> Row:
    """What one call over the ocean takes on a connection that is there: a gateway asks the other one what it speaks."""
    near, far = delay.ends
    document = tomllib.loads(layout.config(near).read_text())
    context = ssl.create_default_context(cafile=layout.ca)
    context.load_cert_chain(*layout.node_certificate(near))
    share, times = StolenShare(), []
    with httpx.Client(verify=context, trust_env=False, timeout=30.0) as kms:
        url = next(gateway["url"] for gateway in document["gateways"] if gateway["id"] == far) + "/kmapi/versions"
        for _ in range(WARM_REQUESTS + requests):
            begin = time.perf_counter()
            kms.get(url).raise_for_status()
            times.append(1e3 * (time.perf_counter() - begin))
    return _row("between the gateways", 1, "versions", times[WARM_REQUESTS:], limit_ms, share.end())


def _rows(
    inventory: Inventory, name: str, pair: tuple[str, str], at_once: int, requests: int, limit_ms: float
) -> Iterator[Row]:
    share = StolenShare()
    with ThreadPoolExecutor(at_once) as pool:
        found = list(pool.map(lambda _: _times_ms(inventory, pair, requests), range(at_once)))
    stolen = share.end()
    for what, limit, of_all in (
        ("enc_keys", limit_ms, [times for times, _ in found]),
        ("dec_keys", 0.0, [times for _, times in found]),
    ):
        yield _row(name, at_once, what, [took for each in of_all for took in each], limit, stolen)


def _row(name: str, at_once: int, what: str, times: Sequence[float], limit_ms: float, stolen: float) -> Row:
    p50 = percentile(times, 0.5)
    return {
        "SAEs": name,
        "at once": float(at_once),
        "what": what,
        "requests": float(len(times)),
        "min ms": min(times),
        "p50 ms": p50,
        "p99 ms": percentile(times, 0.99),
        "limit ms": limit_ms or None,
        "p50 of limit": p50 / limit_ms if limit_ms else None,
        "paper ms": PAPER_MS.get(what),
        "stolen": stolen,
    }


def _times_ms(inventory: Inventory, pair: tuple[str, str], requests: int) -> tuple[list[float], list[float]]:
    """Of enc_keys and dec_keys, one after the other; the first few, which make the connections, do not count."""
    enc, dec = [], []
    with ExitStack() as stack:
        master, slave = (Sae(inventory, sae) for sae in pair)
        stack.callback(master.close)
        stack.callback(slave.close)
        for _ in range(WARM_REQUESTS + requests):
            begin = time.perf_counter()
            key_id = master.enc_keys(slave.name)
            given = time.perf_counter()
            time.sleep(PAUSE_S)  # the master tells the slave
            asked = time.perf_counter()
            slave.dec_keys(master.name, key_id)
            fetched = time.perf_counter()
            enc.append(1e3 * (given - begin))
            dec.append(1e3 * (fetched - asked))
    return enc[WARM_REQUESTS:], dec[WARM_REQUESTS:]


if __name__ == "__main__":
    main()
