"""KMEs in one process on real stores, without sockets: what a network of them costs, node by node."""

import itertools
import random
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

from below_the_wire import TimedStore
from keyhop.audit.log import AuditLog, AuditOptions
from keyhop.core.clock import SystemClock
from keyhop.core.entropy import SystemEntropy
from keyhop.core.ids import KmeId, LinkId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path as Way
from keyhop.core.units import UNIT_BYTES
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.pair import PairOptions
from keyhop.service.kme import Kme
from keyhop.service.kme_options import KmeOptions
from keyhop.service.policy import Policy

BLOCK_BYTES = 1 << 16
BLOCKS_AT_ONCE = 16
TICK_S = 0.1


class Sites:
    """KMEs, links between some of them, and what is on its way. `cpu_s` is CPU time by KME."""

    def __init__(
        self,
        directory: Path,
        links: Iterable[tuple[KmeId, KmeId]],
        *,
        home: Mapping[SaeId, KmeId] | None = None,
        stock_bytes: int = 64 << 20,
        feeder: FeederOptions | None = None,
        terms: Terms | None = None,
    ) -> None:
        self.links = [(one, other) if one < other else (other, one) for one, other in links]
        names = sorted({kme for link in self.links for kme in link})
        self.home = home or {SaeId(f"sae-{name}"): name for name in names}
        self.clock, self.entropy = SystemClock(), SystemEntropy()
        self.stores = {name: TimedStore(directory / name, KeyMaterial(bytes(32))) for name in names}
        self.audits = {
            name: AuditLog(directory / f"{name}-audit", name, self.clock, AuditOptions(sync=False)) for name in names
        }
        self.cpu_s: defaultdict[KmeId, float] = defaultdict(float)
        self._messages: list[tuple[KmeId, KmeId, bytes]] = []
        self._sequence = itertools.count()
        self._ticked_at = 0.0
        options = KmeOptions(
            Policy(),
            PairOptions(stock_bytes=stock_bytes, unfetched_bytes=4 * stock_bytes),
            feeder=feeder or FeederOptions("on-demand"),
            terms=terms or Terms(),
        )
        self.kmes = {name: self._kme(name, names, options) for name in names}
        for me, peer in itertools.permutations(names, 2):
            self.kmes[me].peers[peer].connect(partial(self._transmit, me, peer))
        self.settle()

    def _kme(self, me: KmeId, names: Collection[KmeId], options: KmeOptions) -> Kme:
        neighbours = {a if b == me else b for a, b in self.links if me in (a, b)}
        others = [name for name in names if name != me]
        given = (self.home.get, self.stores[me], self.audits[me], self.clock, self.entropy, lambda: None, options)
        return Kme(me, others, neighbours, *given)

    def _transmit(self, me: KmeId, peer: KmeId, data: bytes) -> None:
        self._messages.append((me, peer, data))

    def fill(self, link: tuple[KmeId, KmeId], size_bytes: int) -> None:
        """A link brings so much for each of its streams."""
        one, other = link
        pairs = self.kmes[one].peers[other].neighbour, self.kmes[other].peers[one].neighbour
        while min(pair.owned.stock_units * UNIT_BYTES for pair in pairs) < size_bytes:
            for _ in range(BLOCKS_AT_ONCE):
                data, sequence = random.randbytes(BLOCK_BYTES), next(self._sequence)
                for pair in pairs:
                    pair.link_block(LinkId(f"{one}-{other}"), sequence, KeyMaterial(data), self.clock.wall(), "bench")
            self.settle()

    def fill_all(self, size_bytes: int) -> None:
        """All links bring so much for each of their streams."""
        for link in self.links:
            self.fill(link, size_bytes)

    def flush(self, me: KmeId) -> None:
        """The end of a turn at one KME."""
        begin = time.process_time()
        self.kmes[me].flush()
        self.cpu_s[me] += time.process_time() - begin

    def settle(self) -> None:
        """Until nothing is to be written and nothing on its way. Time passes."""
        self._tick()
        while True:
            for name in self.kmes:
                self.flush(name)
            if not self._messages:
                return
            messages, self._messages = self._messages, []
            for source, target, data in messages:
                begin = time.process_time()
                self.kmes[target].peers[source].received(data)
                self.cpu_s[target] += time.process_time() - begin

    def _tick(self) -> None:
        now = self.clock.monotonic()
        if now - self._ticked_at > TICK_S:
            self._ticked_at = now
            for kme in self.kmes.values():
                kme.tick()

    def commits(self) -> tuple[float, int]:
        """CPU seconds in commits of all stores so far, and their number."""
        return sum(store.cpu_s for store in self.stores.values()), sum(store.commits for store in self.stores.values())

    def close(self) -> None:
        """Closes the stores and audit logs."""
        for store in self.stores.values():
            store.close()
        for audit in self.audits.values():
            audit.close()


def chain(hops: int) -> Way:
    """A path of so many hops."""
    return tuple(KmeId(f"n{number}") for number in range(hops + 1))


def disjoint(count: int, hops: int) -> tuple[Way, ...]:
    """So many paths of so many hops each, with nothing in common but their ends."""
    ends = KmeId("n0"), KmeId(f"n{hops}")
    inner = [[KmeId(f"n{number}{letter}") for number in range(1, hops)] for letter in "abcdefgh"[:count]]
    return tuple((ends[0], *nodes, ends[1]) for nodes in inner)


def links_of(paths: Iterable[Way]) -> list[tuple[KmeId, KmeId]]:
    """Of all hops."""
    return [hop for path in paths for hop in itertools.pairwise(path)]
