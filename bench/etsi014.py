"""How fast two nodes hand out keys over ETSI GS QKD 014, beside nginx with static files of the same size.

    bench/etsi014.py [--quick] [--seconds S] [--connections 1,16,64] [--json FILE]

See README.md here for what it prints. It ends by itself and leaves nothing behind.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from disk import fdatasync_ms
from keyhop.core.errors import KeyhopError
from keyhop.lab import Lab, Topology, load_topology
from keyhop.lab.layout import Layout
from load import LoadGenerator, Order, write_requests
from measure import Case, Idle, Round, cpu_s, measure
from nginx import Nginx, nginx, version
from report import DEC, ENC, NGINX, Report, machine, make_report, print_report, write_json
from sites import BATCH, MASTER, Sites, get

TOPOLOGY = Path(__file__).with_name("topologies") / "etsi014.toml"
# More than nginx answers in a second: this only bounds the run.
STATIC_PER_S = 300_000
IDLE_S = 1.0
MAX_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Part:
    """Rounds of one size of request, over a link that brings somewhat more than they use.

    `at_most_per_s` bounds the requests, and with them the key that must be in stock before a round.
    """

    keys_per_request: int
    rate_bps: int
    block_bytes: int
    at_most_per_s: int

    def topology(self) -> Topology:
        """Two sites with that link."""
        topology = load_topology(TOPOLOGY)
        link = msgspec.structs.replace(
            topology.links[0], options={"rate_bps": self.rate_bps, "block_bytes": self.block_bytes}
        )
        return msgspec.structs.replace(topology, links=(link,))


PARTS = (Part(1, 8_000_000, 16_384, 20_000), Part(BATCH, 100_000_000, 262_144, 300))


@dataclass(frozen=True, slots=True)
class Bench:
    """The servers of one part."""

    part: Part
    sites: Sites
    generator: LoadGenerator
    directory: Path
    nginx: Nginx

    def idle(self) -> Idle:
        """What link and store cost while nobody asks, and how quick the disk is then."""
        pids = (self.sites.alice, self.sites.bob)
        begin = time.monotonic()
        spent = [-cpu_s(pid) for pid in pids]
        time.sleep(IDLE_S)
        alice, bob = (
            (cpu_s(pid) + before) / (time.monotonic() - begin) for pid, before in zip(pids, spent, strict=True)
        )
        return Idle(self.part.rate_bps, alice, bob, fdatasync_ms(self.directory))

    def rounds(self, connections: list[int], seconds: float) -> Iterator[Round]:
        """Side by side: nginx, enc_keys and dec_keys one after the other, for each number of connections."""
        number, limit = self.part.keys_per_request, int(seconds * self.part.at_most_per_s)
        sites = self.sites
        sample = self.generator.fetch(sites.enc_keys(number, 1))
        (self.nginx.files / str(number)).write_bytes(bytes(sample.body_bytes))
        cases = (
            Case(NGINX, number, partial(self._static, seconds), self.nginx.pid),
            Case(ENC, number, partial(sites.enc_keys, number, limit), sites.alice, (sites.bob,)),
            Case(DEC, number, partial(sites.dec_keys, number, limit), sites.bob, (sites.alice,)),
        )
        for case in cases:  # the first requests find everything cold
            self.generator.fetch(case.order(), seconds=seconds / 4)
        for count in connections:
            for case in cases:
                yield measure(self.generator, case, count, seconds)

    def _static(self, seconds: float) -> Order:
        path = self.directory / "static"
        write_requests(path, [get(f"/{self.part.keys_per_request}")])
        return Order(self.sites.target(MASTER, self.nginx.port), path, int(seconds * STATIC_PER_S))


@contextmanager
def servers(part: Part, generator: LoadGenerator, directory: Path) -> Iterator[Bench]:
    """A lab and nginx, with the certificates of one authority; they do not outlive the block."""
    directory.mkdir()
    lab = Lab.up(part.topology(), directory / "lab", progress=_say)
    try:
        certificate, key = map(str, Layout(lab.directory).node_certificate("alice"))
        with nginx(directory / "nginx", ca=lab.inventory().ca, certificate=certificate, key=key) as limit:
            yield Bench(part, Sites(lab, generator, directory), generator, directory, limit)
    finally:
        lab.down()


def run(connections: list[int], seconds: float, directory: Path) -> Report:
    """Everything."""
    generator = LoadGenerator(directory)
    rounds: list[Round] = []
    idle: list[Idle] = []
    for part in PARTS:
        with servers(part, generator, directory / str(part.keys_per_request)) as bench:
            idle.append(bench.idle())
            for this in bench.rounds(connections, seconds):
                _say(f"{this.what} x {this.keys_per_request}, {this.connections} at once: {this.requests_per_s:,.0f}/s")
                rounds.append(this)
    return make_report(rounds, idle, machine(nginx=version(), load=generator.kind, seconds=f"{seconds:g}"))


def main() -> int:
    """The command."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is ended
    try:
        with tempfile.TemporaryDirectory(prefix="keyhop-bench-") as directory:
            report = run(options.connections, options.seconds, Path(directory))
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
