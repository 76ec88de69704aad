"""How fast two nodes hand out keys over ETSI GS QKD 014, beside nginx with static files of the same size.

    bench/etsi014.py [--quick] [--seconds S] [--connections 1,16,64] [--json FILE]

See README.md here for what it prints. It ends by itself and leaves nothing behind.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from keyhop.core.errors import KeyhopError
from keyhop.lab import Lab
from keyhop.lab.layout import Layout
from keyhop.lab.ports import free_ports
from load import LoadGenerator, Order, write_requests
from measure import Case, Round, measure
from nginx import nginx, version
from report import DEC, ENC, NGINX, machine, make_report, print_report, write_json
from sites import BATCH, MASTER, Sites, get

TOPOLOGY = Path(__file__).with_name("topologies") / "etsi014.toml"
# More than any server here answers in a second: these only bound the run, and with it the key in stock.
STATIC_PER_S = 300_000
AT_MOST_PER_S = {1: 40_000, BATCH: 1_000}
MAX_SECONDS = 3.0


class Bench:
    """The servers, and the rounds over them."""

    def __init__(self, sites: Sites, generator: LoadGenerator, files: Path, nginx_pid: int, nginx_port: int) -> None:
        self._sites = sites
        self._generator = generator
        self._files = files
        self._nginx_pid = nginx_pid
        self._static = sites.target(MASTER, nginx_port)

    def rounds(self, connections: list[int], seconds: float) -> Iterator[Round]:
        """Side by side: nginx, enc_keys and dec_keys one after the other, for each size and number of connections."""
        sites = self._sites
        self._generator.fetch(sites.dec_keys(1, 1000), seconds=seconds)  # warm both nodes up
        for number in (1, BATCH):
            limit = int(seconds * AT_MOST_PER_S[number])
            sample = self._generator.fetch(sites.enc_keys(number, 1))
            (self._files / str(number)).write_bytes(bytes(sample.body_bytes))
            cases = (
                Case(NGINX, number, partial(self._static_order, number, seconds), self._nginx_pid),
                Case(ENC, number, partial(sites.enc_keys, number, limit), sites.alice, (sites.bob,)),
                Case(DEC, number, partial(sites.dec_keys, number, limit), sites.bob, (sites.alice,)),
            )
            for count in connections:
                for case in cases:
                    yield measure(self._generator, case, count, seconds)

    def _static_order(self, number: int, seconds: float) -> Order:
        path = self._files.parent / "requests"
        write_requests(path, [get(f"/{number}")])
        return Order(self._static, path, int(seconds * STATIC_PER_S))


def run(connections: list[int], seconds: float, directory: Path) -> tuple[list[Round], dict[str, str]]:
    """The rounds, and what ran them."""
    generator = LoadGenerator(directory)
    _say(f"load generator: {generator.kind}")
    lab = Lab.up(TOPOLOGY, directory / "lab", progress=_say)
    try:
        certificate, key = map(str, Layout(lab.directory).node_certificate("alice"))
        ca = lab.inventory().ca
        (port,) = free_ports(1)
        with nginx(directory / "nginx", port, ca=ca, certificate=certificate, key=key) as pid:
            bench = Bench(Sites(lab, generator, directory), generator, directory / "nginx" / "files", pid, port)
            rounds = []
            for this in bench.rounds(connections, seconds):
                _say(f"{this.what} x {this.keys_per_request}, {this.connections} at once: {this.requests_per_s:,.0f}/s")
                rounds.append(this)
        return rounds, machine(nginx=version(), load=generator.kind, seconds=str(seconds))
    finally:
        lab.down()


def main() -> int:
    """The command."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is ended
    try:
        with tempfile.TemporaryDirectory(prefix="keyhop-bench-") as directory:
            report = make_report(*run(options.connections, options.seconds, Path(directory)))
    except (KeyhopError, RuntimeError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    print_report(report)
    if options.json:
        write_json(report, options.json)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="half a second a round, with 1 and 16 connections")
    parser.add_argument("--seconds", type=float, help=f"per round, at most {MAX_SECONDS:g} (default 2)")
    parser.add_argument("--connections", type=_counts, help="comma-separated, each 1 to 100 (default 1,16,64)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    options = parser.parse_args()
    if options.seconds is None:
        options.seconds = 0.5 if options.quick else 2.0
    if options.connections is None:
        options.connections = [1, 16] if options.quick else [1, 16, 64]
    if not 0.1 <= options.seconds <= MAX_SECONDS:
        parser.error(f"--seconds must be 0.1 to {MAX_SECONDS:g}")
    return options


def _counts(text: str) -> list[int]:
    counts = [int(word) for word in text.split(",")]
    if not all(1 <= count <= 100 for count in counts):
        raise ValueError
    return counts


def _say(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
