"""What an honest SAE notices while others flood its KME: bench/floods.py [--quick] [--only KIND,KIND] [--json FILE]

See README.md here for what it prints. It ends by itself and leaves nothing behind.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from delivery import name
from keyhop.core.errors import KeyhopError
from keyhop.lab import load_topology
from load import LoadGenerator, Way
from measure import Case, Round, measure
from memory import forget_peak, in_memory, peak_rss_mib
from priority import go_first
from progress import say
from report import Aim, Report, Row, Section
from servers import ENC, Settings, lab
from sites import KEY_BYTES, Sites

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "e2e"))

from attackers import SPIN
from callers import Caller
from flood import Flood, attackers

TOPOLOGY = Path(__file__).with_name("topologies") / "floods.toml"
EVIL = "evesae"
CONNECTIONS, RATE = 4, 500
STALLED, STALLED_PER_S = 5_000, 1_000
AT_ONCE = 16
MOST_OF_ONE_SAE = 64
AIM = 2.0
PAUSE_S = 1.0
NICER = 15
# Each pair has what the honest one asks for in two seconds; the stock is small, so the greedy have soon used it up.
SETTINGS: Settings = {"audit": {"keep_files": 2}, "policy": {"reserved_bytes_per_pair": 2 * RATE * KEY_BYTES}}
# What the default limits admit: 1,024 connections with a body, a head and their TLS, and 256 handshakes.
CAP_MIB = 1_024 * 0.125 + 256 * 0.0625

FLOODS = (
    Flood("silent", STALLED, STALLED_PER_S),
    Flood("half-handshake", STALLED, STALLED_PER_S),
    Flood("half-request", STALLED, STALLED_PER_S),
    Flood("handshake", AT_ONCE),
    Flood("nameless", AT_ONCE),
    Flood("aborted-handshake", AT_ONCE),
    Flood("endless-body", AT_ONCE),
    Flood("endless-chunks", AT_ONCE),
    Flood("endless-head", AT_ONCE),
    Flood("costly-bodies", MOST_OF_ONE_SAE),
    Flood("greedy", MOST_OF_ONE_SAE),
)


class Bench:
    """alice has a core of her own among us; all else is on the others, and there the honest SAE comes before them."""

    def __init__(self, evil: Caller, sites: Sites, generator: LoadGenerator, seconds: float) -> None:
        self._generator = generator
        self._way = Way(CONNECTIONS, seconds, "open", RATE)
        order = sites.enc_keys(1, int(seconds * RATE))
        self._alice, self._evil = sites.alice, evil
        alices, *others = sorted(os.sched_getaffinity(0))
        self._others = tuple(others) or (alices,)
        _keep_on((alices,), sites.alice)
        _keep_on(self._others, sites.bob)
        self._case = Case(ENC, 1, lambda: order, sites.alice, (sites.bob,), self._others)

    def alone(self) -> tuple[Round, float]:
        """The honest SAE, and the node's peak of memory in MiB."""
        forget_peak(self._alice)
        return measure(self._generator, self._case, self._way), peak_rss_mib(self._alice)

    def under(self, flood: Flood) -> tuple[Round, float, float]:
        """The same while that goes on, and how much came of it a second."""
        begin = time.monotonic()
        with attackers(flood, self._evil) as evil:
            os.sched_setaffinity(evil.pid, self._others)
            os.setpriority(os.PRIO_PROCESS, evil.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICER)
            evil.await_height()
            this, peak_mib = self.alone()
            evil.end()
            attempts_per_s = evil.attempts / (time.monotonic() - begin)
        time.sleep(PAUSE_S)  # what they left behind is no part of what comes next
        return this, peak_mib, attempts_per_s


def _keep_on(cores: tuple[int, ...], pid: int) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def section(bench: Bench, floods: list[Flood]) -> Section:
    """All of them, between two looks at the honest SAE alone."""
    base, base_mib = bench.alone()
    control, control_mib, _ = bench.under(Flood(SPIN, 1))
    limits = (base, control)
    rows = [_row("nobody", base, limits, base_mib), _row(SPIN, control, limits, control_mib)]
    cap_mib = base_mib + CAP_MIB
    aims: list[Aim] = []
    greatest_mib = unanswered = 0.0
    for flood in floods:
        this, peak_mib, per_s = bench.under(flood)
        say(f"{flood.kind}: p99 {this.load.p99_ms:.3f} ms, {peak_mib:.0f} MiB")
        rows.append(_row(flood.kind, this, limits, peak_mib, per_s))
        ratio = this.load.p99_ms / base.load.p99_ms
        aims.append(Aim(f"{flood.kind}: p99 of its base line", ratio, AIM, at_least=False))
        greatest_mib = max(greatest_mib, peak_mib)
        unanswered += this.load.refused
    again, again_mib = bench.alone()
    rows.append(_row("nobody, again", again, limits, again_mib))
    aims.append(Aim("honest requests refused", unanswered, 0, at_least=False))
    aims.append(Aim("memory under floods, MiB, against its cap", greatest_mib, cap_mib, at_least=False))
    return Section(f"An honest SAE, {RATE} requests/s over {CONNECTIONS} connections, beside", rows, aims)


def _row(flood: str, this: Round, limits: tuple[Round, Round], peak_mib: float, per_s: float = 0.0) -> Row:
    load = this.load
    base, control = (limit.load.p99_ms for limit in limits)
    return {
        "flood": flood,
        "tries/s": per_s,
        "honest": name(this),
        "answered/s": this.requests_per_s,
        "p50 ms": load.p50_ms,
        "p99 ms": load.p99_ms,
        "max ms": load.max_ms,
        "p99 of base": load.p99_ms / base,
        "of spin": load.p99_ms / control,
        "alice's core": f"{this.server_cpu_s / load.seconds:.0%}",
        "peak MiB": peak_mib,
        "stolen": this.stolen,
        "try": this.attempt,
    }


def main() -> int:
    """The command."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is ended
    nice = go_first()
    seconds = 2.0 if options.quick else 5.0
    try:
        with tempfile.TemporaryDirectory(prefix="keyhop-floods-", dir=in_memory()) as name:
            directory = Path(name)
            generator = LoadGenerator(directory)
            report = Report(nice=nice, seconds=f"{seconds:g}")
            with lab(directory / "lab", load_topology(TOPOLOGY), SETTINGS) as running:
                evil = Caller.of(running.inventory(), EVIL)
                bench = Bench(evil, Sites(running, generator, directory), generator, seconds)
                report.add(section(bench, [flood for flood in FLOODS if flood.kind in options.only]))
    except (KeyhopError, RuntimeError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    report.end(options.json)
    return 0


def _options() -> argparse.Namespace:
    kinds = [flood.kind for flood in FLOODS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="watch each flood for 2 s instead of 5")
    parser.add_argument("--only", type=lambda text: text.split(","), default=kinds, help=f"of {', '.join(kinds)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    options = parser.parse_args()
    if not set(options.only) <= set(kinds):
        parser.error(f"--only: of {', '.join(kinds)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
