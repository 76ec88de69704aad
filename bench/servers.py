"""Two nodes and nginx side by side, with the certificates of one authority: where the rounds of one part take place."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from keyhop.lab import Lab, Topology, load_topology
from keyhop.lab.layout import Layout
from keyhop.lab.setup import set_up
from load import LoadGenerator, Order, write_requests
from measure import Case
from nginx import Nginx, nginx
from priority import session_first
from progress import say
from sites import MASTER, Sites, get

TOPOLOGY = Path(__file__).with_name("topologies") / "etsi014.toml"
NGINX, ENC, DEC, MIX = "nginx", "enc_keys", "dec_keys", "half of each"
# More than nginx answers in a second: this only bounds the run.
STATIC_PER_S = 300_000

type Settings = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Line:
    """The link between the two nodes."""

    rate_bps: int
    block_bytes: int

    def topology(self) -> Topology:
        """Two sites with that link."""
        topology = load_topology(TOPOLOGY)
        options = {"rate_bps": self.rate_bps, "block_bytes": self.block_bytes}
        link = msgspec.structs.replace(topology.links[0], options=options)
        return msgspec.structs.replace(topology, links=(link,))


SLOW_LINE = Line(8_000_000, 16_384)


@dataclass(frozen=True, slots=True)
class Servers:
    """What is measured, and what it is measured against. `limit`s are of requests, for which key must be in stock."""

    sites: Sites
    generator: LoadGenerator
    directory: Path
    nginx: Nginx

    def static(self, keys: int, seconds: float) -> Case:
        """nginx with a file as large as the answer of that many keys."""
        sample = self.generator.fetch(self.sites.enc_keys(keys, 1))
        (self.nginx.files / str(keys)).write_bytes(bytes(sample.body_bytes))
        return Case(NGINX, keys, partial(self._static, keys, seconds), self.nginx.pid)

    def enc_keys(self, keys: int, limit: int) -> Case:
        """alicesae asks alice for fresh keys."""
        return Case(ENC, keys, partial(self.sites.enc_keys, keys, limit), self.sites.alice, (self.sites.bob,))

    def dec_keys(self, keys: int, limit: int) -> Case:
        """bobsae asks bob for what alicesae got just before."""
        return Case(DEC, keys, partial(self.sites.dec_keys, keys, limit), self.sites.bob, (self.sites.alice,))

    def mix(self, limit: int) -> Case:
        """bobsae asks bob in turn for a fresh key and for one that alicesae got just before."""
        return Case(MIX, 1, partial(self.sites.mix, limit), self.sites.bob, (self.sites.alice,))

    def _static(self, keys: int, seconds: float) -> Order:
        path = self.directory / "static"
        write_requests(path, [get(f"/{keys}")])
        return Order(self.sites.target(MASTER, self.nginx.port), path, int(seconds * STATIC_PER_S))


@contextmanager
def servers(
    generator: LoadGenerator, directory: Path, line: Line, settings: Settings | None = None
) -> Iterator[Servers]:
    """A lab, with `settings` in both nodes' node.toml, and nginx; they do not outlive the block."""
    with lab(directory / "lab", line.topology(), settings or {}) as running:
        certificate, key = map(str, Layout(running.directory).node_certificate("alice"))
        ca = running.inventory().ca
        crl = str(Path(ca).with_name("crl.pem"))
        with nginx(directory / "nginx", ca=ca, crl=crl, certificate=certificate, key=key) as limit:
            yield Servers(Sites(running, generator, directory), generator, directory, limit)


@contextmanager
def lab(directory: Path, topology: Topology, settings: Settings) -> Iterator[Lab]:
    """A lab whose nodes have these settings on top of their own; they do not outlive the block."""
    layout = Layout(directory)
    set_up(layout, topology)
    for kme in topology.kme_ids():
        path = layout.config(kme)
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        for section, values in settings.items():
            document[section] = document.get(section, {}) | values
        path.write_text(tomli_w.dumps(document), encoding="utf-8")
    running = Lab.up(topology, directory, progress=say)
    try:
        for node in running.inventory().kmes:
            assert node.pid is not None
            session_first(node.pid)
        yield running
    finally:
        running.down()
