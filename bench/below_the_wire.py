"""What enc_keys and dec_keys cost below the wire: delivery, streams, journal and the store on a disk.

    bench/below_the_wire.py [--seconds S] [--at-once 1,64] [--sync-audit] [--profile]

Two KMEs in one process, without TLS, HTTP and sockets. `at-once` requests come in one turn of the loop and share a
commit and a write of the audit log. Prints microseconds of CPU per request, how many of them went into the store's
commits and into the audit log's writes, and how long one commit took at the worst.
"""

import argparse
import cProfile
import gc
import itertools
import pstats
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from keyhop.audit.log import AuditLog, AuditOptions
from keyhop.core.clock import SystemClock
from keyhop.core.entropy import SystemEntropy
from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, LinkId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import Slot
from keyhop.core.store.sqlite import SqliteStore
from keyhop.network.pair import PairOptions
from keyhop.service.kme import Kme
from keyhop.service.kme_options import KmeOptions
from keyhop.service.policy import Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from measure import MAX_STOLEN
from stolen import StolenShare

ALICE, BOB = KmeId("alice"), KmeId("bob")
MASTER, SLAVE = SaeId("alicesae"), SaeId("bobsae")
HOME = {MASTER: ALICE, SLAVE: BOB}
BLOCK_BYTES = 1 << 16
STOCK_BYTES = 8 << 20
TICK_S = 0.1


class TimedStore(SqliteStore):
    """Knows what its commits cost."""

    cpu_s = longest_s = 0.0
    commits = 0

    def commit(self, writes: Mapping[Slot, bytes | None]) -> None:
        cpu, begin = time.process_time(), time.perf_counter()
        super().commit(writes)
        self.cpu_s += time.process_time() - cpu
        self.longest_s = max(self.longest_s, time.perf_counter() - begin)
        self.commits += 1


class TimedAudit(AuditLog):
    """Knows what its writes cost."""

    cpu_s = 0.0

    def write(self, records: Sequence[bytes]) -> None:
        cpu = time.process_time()
        super().write(records)
        self.cpu_s += time.process_time() - cpu


class Network:
    """alice and bob, and what is on its way between them."""

    def __init__(self, directory: Path, sync_audit: bool) -> None:
        self.clock, self.entropy = SystemClock(), SystemEntropy()
        self.messages: list[tuple[KmeId, KmeId, bytes]] = []
        self.stores = {name: TimedStore(directory / name, KeyMaterial(bytes(32))) for name in (ALICE, BOB)}
        self.audits = {
            name: TimedAudit(directory / f"{name}-audit", name, self.clock, AuditOptions(sync=sync_audit))
            for name in HOME.values()
        }
        self.kmes = {ALICE: self._kme(ALICE, BOB), BOB: self._kme(BOB, ALICE)}
        self.sequence = itertools.count()
        self.ticked_at = 0.0
        for me, peer in ((ALICE, BOB), (BOB, ALICE)):
            self.kmes[me].peers[peer].connect(partial(self._transmit, me, peer))
        self.settle()

    def _kme(self, me: KmeId, peer: KmeId) -> Kme:
        options = KmeOptions(Policy(), PairOptions(stock_bytes=2 * STOCK_BYTES, unfetched_bytes=64 << 20))
        store, audit = self.stores[me], self.audits[me]
        return Kme(me, [peer], [peer], HOME.get, store, audit, self.clock, self.entropy, lambda: None, options)

    def _transmit(self, me: KmeId, peer: KmeId, data: bytes) -> None:
        self.messages.append((me, peer, data))

    def settle(self) -> None:
        """Until nothing is to be written and nothing on its way."""
        while True:
            for kme in self.kmes.values():
                kme.flush()
            if not self.messages:
                return
            messages, self.messages = self.messages, []
            for source, target, data in messages:
                self.kmes[target].peers[source].received(data)

    def turn(self, me: KmeId) -> None:
        """The end of a turn at one KME; the other one gets what it sent, and time passes."""
        self.kmes[me].flush()
        now = time.monotonic()
        if now - self.ticked_at > TICK_S:
            self.ticked_at = now
            for kme in self.kmes.values():
                kme.tick()
        if self.messages:
            self.settle()

    def fill(self) -> None:
        """Blocks of the link, until alice has enough in stock."""
        while self.kmes[ALICE].peers[BOB].neighbour.owned.available_bytes < STOCK_BYTES:
            data, sequence = self.entropy.token(BLOCK_BYTES), next(self.sequence)
            for me, peer in ((ALICE, BOB), (BOB, ALICE)):
                self.kmes[me].peers[peer].neighbour.link_block(
                    LinkId("l"), sequence, KeyMaterial(data), self.clock.wall(), "x"
                )
            self.settle()


class Cost:
    """Of many requests."""

    def __init__(self, store: TimedStore, audit: TimedAudit) -> None:
        self.store = store
        self.audit = audit
        self.requests = 0
        self.cpu_s = self.commit_s = self.audit_s = 0.0
        store.longest_s = 0.0

    def measure(self, count: int) -> "Cost":
        self.requests += count
        return self

    def __enter__(self) -> None:
        self.cpu_s -= time.process_time()
        self.commit_s -= self.store.cpu_s
        self.audit_s -= self.audit.cpu_s

    def __exit__(self, *_: object) -> None:
        self.cpu_s += time.process_time()
        self.commit_s += self.store.cpu_s
        self.audit_s += self.audit.cpu_s

    def __str__(self) -> str:
        whole, commit, audit = (1e6 * s / self.requests for s in (self.cpu_s, self.commit_s, self.audit_s))
        of_them = f"{commit:7.2f} of them in commits, {audit:6.2f} in the audit log"
        return f"{whole:8.2f} us, {of_them}; longest commit {1e3 * self.store.longest_s:6.2f} ms"


def run(network: Network, at_once: int, number: int, seconds: float, profile: cProfile.Profile | None) -> float:
    """Both calls in turn. The share of the cores that the host took meanwhile."""
    share = StolenShare()
    enc, dec = (Cost(network.stores[kme], network.audits[kme]) for kme in (ALICE, BOB))
    refused: list[KeyhopError] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        network.fill()
        got: list[Keys] = []

        def reply(answer: Keys | KeyhopError, into: list[Keys] = got) -> None:
            into.append(answer) if isinstance(answer, Keys) else refused.append(answer)

        rounds = min(STOCK_BYTES // 2 // (32 * number * at_once), 512)
        delivery = network.kmes[ALICE].delivery
        for _ in range(rounds):
            with enc.measure(at_once):
                for _ in range(at_once):
                    delivery.get_key(GetKey(MASTER, SLAVE, number), reply)
                network.turn(ALICE)
        network.settle()
        orders = [GetKeyWithIds(SLAVE, MASTER, b"".join(run.ids for run in keys.runs)) for keys in got]
        delivery = network.kmes[BOB].delivery
        for group in itertools.batched(orders, at_once, strict=False):
            if profile:
                profile.enable()
            with dec.measure(len(group)):
                for order in group:
                    delivery.get_key_with_ids(order, reply)
                network.turn(BOB)
            if profile:
                profile.disable()
    print(f"{number:5} keys, {at_once:3} at once: enc_keys {enc}")
    print(f"{'':21} dec_keys {dec}" + (f"   REFUSED {len(refused)} {refused[0]}" if refused else ""))
    return share.end()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="per line")
    parser.add_argument("--at-once", default="1,64")
    parser.add_argument("--sync-audit", action="store_true", help="as with [audit] sync = true")
    parser.add_argument("--profile", action="store_true", help="show where dec_keys spends its time")
    options = parser.parse_args()
    gc.disable()  # answers are kept here, which a node does not do
    profile = cProfile.Profile() if options.profile else None
    with tempfile.TemporaryDirectory(prefix="keyhop-bench-") as directory:
        network = Network(Path(directory), options.sync_audit)
        for number, at_once in [(1, int(n)) for n in options.at_once.split(",")] + [(1000, 1), (1000, 8)]:
            stolen = run(network, at_once, number, options.seconds, profile)
            if stolen > MAX_STOLEN:
                print(f"{'':21} the host took {stolen:.0%} of the cores: once more")
                stolen = run(network, at_once, number, options.seconds, profile)
            print(f"{'':21} stolen {stolen:.0%}")
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
