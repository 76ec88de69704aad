"""With streams filled, a key for a site some hops away costs and takes what one for a neighbour does."""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from httpx import URL

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.units import UNIT_BYTES
from keyhop.lab import Lab
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.relay.messages import BlockPayload
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.service.requests import GetKey, Keys
from load import LoadGenerator, Order, Target, Way, write_requests
from measure import Case, Round, measure
from progress import say
from relay_saes import await_stock, chain, lab
from relay_sites import Sites, links_of
from relay_sites import chain as path_of
from report import Aim, Row, Section
from sites import get

KEY_BYTES = 32
MOST_RATIO = 1.1
STOCK_BYTES = 1 << 20
REAL_HOPS = (1, 2, 4)
HOPS = (1, 2, 4, 8)
CONNECTIONS = 16
PARCEL_BYTES = 32 << 10
ROUNDS = 9
TURNS = 5


def real(generator: LoadGenerator, directory: Path, seconds: float) -> Section:
    """Real nodes, asked over ETSI 014."""
    relay = {"least_stock_bytes": STOCK_BYTES}
    rounds: dict[int, list[Round]] = {hops: [] for hops in REAL_HOPS}
    with lab(chain(relay)) as running:
        for hops in REAL_HOPS:
            await_stock(running, "n0", f"n{hops}", STOCK_BYTES)
        for hops in REAL_HOPS * (1 + TURNS):
            rounds[hops].append(_round(generator, directory, running, hops, seconds))
            say(f"{hops} hops: {rounds[hops][-1].requests_per_s:,.0f}/s")
    say("")
    warm = {hops: sorted(of[1:], key=Round.cpu_per_request_s)[TURNS // 2] for hops, of in rounds.items()}
    link = warm[1]
    rows: list[Row] = [
        {
            "hops": float(hops),
            "requests/s": this.requests_per_s,
            "refused": float(this.load.refused),
            "p50 ms": this.load.p50_ms,
            "p99 ms": this.load.p99_ms,
            "CPU us": 1e6 * this.cpu_per_request_s(),
            "CPU of one link": this.cpu_per_request_s() / link.cpu_per_request_s(),
            "p50 of one link": this.load.p50_ms / link.load.p50_ms,
            "stolen": this.stolen,
            "neighbours": this.neighbours,
        }
        for hops, this in warm.items()
    ]
    worst = max(float(row["CPU of one link"] or 0) for row in rows)
    aim = Aim("enc_keys over hops, streams filled, CPU over that of one link", worst, MOST_RATIO, at_least=False)
    notes = [
        f"five nodes in a row, {CONNECTIONS} connections to the first one, one key a request; relaying goes on;",
        f"the median of {TURNS} rounds each, in turn",
    ]
    return Section("streams filled, real nodes", rows, [aim], notes)


def _round(generator: LoadGenerator, directory: Path, running: Lab, hops: int, seconds: float) -> Round:
    inventory = running.inventory()
    limit = STOCK_BYTES // KEY_BYTES // 2

    def order() -> Order:
        await_stock(running, "n0", f"n{hops}", limit * KEY_BYTES)
        path, entry = directory / f"enc-{hops}", inventory.sae("n0-1")
        write_requests(path, [get(f"/api/v1/keys/n{hops}-1/enc_keys")])
        port = URL(inventory.home("n0-1").etsi014_url).port
        assert port is not None
        return Order(Target(port, inventory.ca, entry.cert, entry.key), path, limit)

    pid = inventory.kme("n0").pid
    assert pid is not None
    return measure(generator, Case(f"{hops} hops", 1, order, pid), Way(CONNECTIONS, seconds))


def in_process(seconds: float) -> Section:
    """The delivery alone, without TLS and HTTP."""
    with TemporaryDirectory(prefix="keyhop-bench-") as directory:
        longest = path_of(max(HOPS))
        sites = Sites(Path(directory), links_of([longest]), feeder=FeederOptions("on-demand"))
        try:
            costs = [{hops: _cost_us(sites, hops, seconds / ROUNDS) for hops in HOPS} for _ in range(ROUNDS)]
        finally:
            sites.close()
    best = {hops: min(cost[hops] for cost in costs) for hops in HOPS}
    rows: list[Row] = [
        {"hops": float(hops), "CPU us": cost, "CPU of one link": cost / best[1]} for hops, cost in best.items()
    ]
    worst = max(cost / best[1] for cost in best.values())
    aim = Aim("the same without TLS and HTTP, CPU over that of one link", worst, MOST_RATIO, at_least=False)
    return Section("streams filled, in one process", rows, [aim], [f"the least of {ROUNDS} rounds each"])


def _cost_us(sites: Sites, hops: int, seconds: float) -> float:
    """CPU time of a request, its part of a lease included: of all that the first node does for it."""
    source = KmeId("n0")
    request = GetKey(SaeId("sae-n0"), SaeId(f"sae-n{hops}"))
    delivery = sites.kmes[source].delivery
    spent_s, asked = 0.0, 0
    while spent_s < seconds:
        _fill(sites, hops)
        answers = list[Keys | KeyhopError]()
        before = sites.cpu_s[source]
        for _ in range(PARCEL_BYTES // KEY_BYTES // CONNECTIONS):
            calling = time.process_time()
            for _ in range(CONNECTIONS):
                delivery.get_key(request, answers.append)
            sites.cpu_s[source] += time.process_time() - calling
            sites.settle()
        spent_s += sites.cpu_s[source] - before
        asked += len(answers)
        _check(answers)
    return 1e6 * spent_s / asked


def _check(answers: Sequence[Keys | KeyhopError]) -> None:
    refused = [answer for answer in answers if not isinstance(answer, Keys)]
    if refused:
        raise RuntimeError(f"{len(refused)} requests were refused: {refused[0]}")


def _fill(sites: Sites, hops: int) -> None:
    """The stream to the end of so many hops has enough, and enough of it is leased."""
    path = path_of(hops)
    source, target = path[0], path[-1]
    if hops == 1:
        sites.fill((source, target), 8 * PARCEL_BYTES)
        return
    pair = sites.kmes[source].peers[target].relayed
    while pair.owned.stock_units * UNIT_BYTES < 4 * PARCEL_BYTES:
        sites.fill_all(8 * PARCEL_BYTES)
        outcome: list[str | None] = []
        parcel = Parcel(target, BlockPayload(), KeyMaterial(sites.entropy.token(PARCEL_BYTES)))
        plan = Plan("hop-by-hop", (path,))
        sites.kmes[source].relay.send(parcel, plan, sites.clock.monotonic() + 10.0, outcome.append)
        while not outcome:  # a block that nobody waits for leaves what is kept back of a link: it may take some ticks
            sites.settle()
        if outcome != [None]:
            raise RuntimeError(f"a parcel did not arrive: {outcome}")
