"""Open loop: requests arrive at their own pace, answered or not. How long an SAE waits at a given load."""

from delivery import disturbances, name
from load import Way
from measure import Round, measure
from progress import say
from report import Aim, Row, Section
from servers import ENC, MIX, Servers

RATES = (5_000, 10_000, 20_000)
AIM_RATE, AIM_MS = 20_000, 5.0
CONNECTIONS = 64


def open_loop(servers: Servers, seconds: float) -> Section:
    """nginx, fresh keys, and fresh keys and fetched ones in turn, at each rate."""
    rows: list[Row] = []
    p99_ms: dict[tuple[str, int], float] = {}
    for rate in RATES:
        limit = int(rate * seconds)
        for case in (servers.static(1, seconds), servers.enc_keys(1, limit), servers.mix(limit)):
            this = measure(servers.generator, case, Way(CONNECTIONS, seconds, "open", rate))
            say(f"{this.what} at {rate:,}/s: p99 {this.load.p99_ms:.3f} ms")
            p99_ms[this.what, rate] = this.load.p99_ms
            rows.append(_row(this, rate))
    aims = [
        Aim(f"{what} at {AIM_RATE:,} requests/s, p99 ms", p99_ms[what, AIM_RATE], AIM_MS, at_least=False)
        for what in (ENC, MIX)
    ]
    return Section(f"At a given pace, over {CONNECTIONS} connections", rows, aims)


def _row(this: Round, rate: int) -> Row:
    load = this.load
    return {
        "asked/s": rate,
        "what": name(this),
        "answered/s": this.requests_per_s,
        "p50 ms": load.p50_ms,
        "p90 ms": load.p90_ms,
        "p99 ms": load.p99_ms,
        "p99.9 ms": load.p999_ms,
        "max ms": load.max_ms,
        "CPU us": this.cpu_per_request_s() * 1e6,
        **disturbances(this),
    }
