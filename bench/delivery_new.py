"""New connections: each request after a full mutual handshake of its own, without resumption or tickets."""

from delivery import disturbances, name, of_nginx
from load import Way
from measure import Round, measure
from progress import say
from report import Aim, Row, Section
from servers import Servers

AT_ONCE = (1, 16)
AIM = 0.7
MOST_PER_S = 5_000


def new_connections(servers: Servers, seconds: float) -> Section:
    """nginx and enc_keys."""
    rows: list[Row] = []
    ratios: list[float] = []
    for count in AT_ONCE:
        way = Way(count, seconds, "new")
        limit = measure(servers.generator, servers.static(1, seconds), way)
        this = measure(servers.generator, servers.enc_keys(1, int(seconds * MOST_PER_S)), way)
        say(f"{count} new connections at once: nginx {limit.requests_per_s:,.0f}/s, ours {this.requests_per_s:,.0f}/s")
        ratios.append(of_nginx(this, limit))
        rows += [_row(limit, limit), _row(this, limit)]
    return Section("New connections, one request each", rows, [Aim("new connections, of nginx", ratios[-1], AIM)])


def _row(this: Round, nginx: Round) -> Row:
    load = this.load
    return {
        "at once": this.connections,
        "what": name(this),
        "connections/s": this.requests_per_s,
        "p50 ms": load.p50_ms,
        "p99 ms": load.p99_ms,
        "tickets each": load.tickets / load.requests,
        "CPU us": this.cpu_per_request_s() * 1e6,
        "of nginx": None if this is nginx else of_nginx(this, nginx),
        **disturbances(this),
    }
