"""Closed loop: every connection has one request under way. What a request costs, and how many fit into a second."""

from collections.abc import Callable
from statistics import median

from delivery import disturbances, name, of_nginx
from disk import fdatasync_ms
from load import Way
from measure import Case, Round, idle_shares, measure
from progress import say
from report import Aim, Row, Section
from servers import DEC, ENC, NGINX, Servers

BATCH = 1000
CROWD = 64
# Bounds the requests of a round, and with them the key that must be in stock before it.
ENC_PER_S, DEC_PER_S, BATCHES_PER_S = 50_000, 25_000, 600

type Pair = tuple[Round, Round]  # with nginx just before, with as many connections


def single(servers: Servers, connections: list[int], seconds: float) -> Section:
    """One key per request."""
    cases = [
        servers.static(1, seconds),
        servers.enc_keys(1, int(seconds * ENC_PER_S)),
        servers.dec_keys(1, int(seconds * DEC_PER_S)),
    ]
    return _section("One key per request", servers, cases, connections, seconds, _single_aims)


def batches(servers: Servers, connections: list[int], seconds: float) -> Section:
    """A thousand keys per request."""
    limit = int(seconds * BATCHES_PER_S)
    cases = [servers.static(BATCH, seconds), servers.enc_keys(BATCH, limit), servers.dec_keys(BATCH, limit)]
    return _section(f"{BATCH:,} keys per request", servers, cases, connections, seconds, _batch_aims)


def _section(
    title: str,
    servers: Servers,
    cases: list[Case],
    connections: list[int],
    seconds: float,
    aims: Callable[[list[Pair]], list[Aim]],
) -> Section:
    alice, bob = idle_shares([servers.sites.alice, servers.sites.bob])
    idle = {ENC: alice, DEC: bob}
    note = f"idle: alice {alice:.1%}, bob {bob:.1%} of a core; fdatasync {fdatasync_ms(servers.directory):.3f} ms"
    for case in cases:  # the first requests find everything cold
        servers.generator.fetch(case.order(), Way(4, seconds / 4))
    rounds: list[Pair] = []
    for count in connections:
        for case in cases:  # nginx is the first
            this = measure(servers.generator, case, Way(count, seconds))
            say(f"{this.what}, {count} at once: {this.requests_per_s:,.0f}/s")
            rounds.append((this, this if this.what == NGINX else rounds[-1][1]))
    rows = [_row(this, nginx, idle.get(this.what, 0.0)) for this, nginx in rounds]
    return Section(title, rows, aims(rounds), [note])


def _row(this: Round, nginx: Round, idle: float) -> Row:
    limited = this.what != NGINX
    return {
        "conns": this.connections,
        "what": name(this),
        "bytes": this.load.body_bytes,
        "requests/s": this.requests_per_s,
        "keys/s": this.keys_per_s if limited else None,
        "p50 ms": this.load.p50_ms,
        "p99 ms": this.load.p99_ms,
        "CPU us": this.cpu_per_request_s() * 1e6,
        "other us": 1e6 * this.other_cpu_s / this.load.requests if limited else None,
        "of nginx": of_nginx(this, nginx) if limited else None,
        "less idle": of_nginx(this, nginx, idle) if limited else None,
        **disturbances(this),
    }


def _single_aims(rounds: list[Pair]) -> list[Aim]:
    def measured(what: str) -> float | None:
        crowded = [of_nginx(this, nginx) for this, nginx in rounds if (this.what, this.connections) == (what, CROWD)]
        return median(crowded) if crowded else None

    return [
        Aim(f"enc_keys, {CROWD} connections, of nginx", measured(ENC), 0.4),
        Aim("the same, stretched", measured(ENC), 0.5),
        Aim(f"dec_keys, {CROWD} connections, of nginx", measured(DEC), 0.25),
    ]


def _batch_aims(rounds: list[Pair]) -> list[Aim]:
    best = {what: max(this.keys_per_s for this, _ in rounds if this.what == what) for what in (ENC, DEC)}
    return [Aim(f"{what} in batches, the best of keys/s", best[what], 1_000_000) for what in best]
