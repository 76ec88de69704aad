"""What it costs to have every audit record on the disk before its keys leave."""

from pathlib import Path

from delivery import disturbances, name
from delivery_closed import CROWD, DEC_PER_S, ENC_PER_S
from load import LoadGenerator, Way
from measure import measure
from progress import say
from report import Row, Section
from servers import SLOW_LINE, servers


def audit(generator: LoadGenerator, directory: Path, seconds: float) -> Section:
    """Fresh keys and fetched ones, without and with it."""
    rows: list[Row] = []
    for sync in (False, True):
        with servers(generator, directory / str(sync), SLOW_LINE, {"audit": {"sync": sync}}) as here:
            cases = (here.enc_keys(1, int(seconds * ENC_PER_S)), here.dec_keys(1, int(seconds * DEC_PER_S)))
            for case in cases:
                generator.fetch(case.order(), Way(4, seconds / 4))
            for count in (1, CROWD):
                for case in cases:
                    this = measure(generator, case, Way(count, seconds))
                    say(f"sync {sync}, {this.what}, {count} at once: {this.requests_per_s:,.0f}/s")
                    rows.append(
                        {
                            "sync": str(sync).lower(),
                            "conns": count,
                            "what": name(this),
                            "requests/s": this.requests_per_s,
                            "p50 ms": this.load.p50_ms,
                            "p99 ms": this.load.p99_ms,
                            "CPU us": this.cpu_per_request_s() * 1e6,
                            **disturbances(this),
                        }
                    )
    return Section("The audit log brought to the disk each turn, or not", rows, [])
