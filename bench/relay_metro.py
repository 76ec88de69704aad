"""A city on one machine: the twelve real nodes of `metro`, and two thousand pairs of SAEs that share keys all the time.

Every SAE has one connection, which its pairs take in turn. Each pair asks for a key in every period, at a time of its
own; as soon as the master has it, the slave fetches it. A request that finds the one before unanswered is late.
"""

import asyncio
import itertools
import json
import random
import ssl
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from keyhop.lab import Inventory, load_topology
from keyhop.network.feeder.fairness import jains_index
from measure import cpu_s
from relay_demand import percentile
from relay_saes import lab
from report import Aim, Row, Section
from stolen import StolenShare

PAIRS = 2000
PERIOD_S = 5.0
LEAST_INDEX = 0.95
SEED = 5


@dataclass(slots=True)
class Pair:
    """What a master and a slave came to. Times in milliseconds."""

    master: str
    slave: str
    sites: tuple[str, str]
    asked: int = 0
    shared: int = 0
    enc_ms: list[float] = field(default_factory=list)
    dec_ms: list[float] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)


class Connection:
    """Of one SAE; one request at a time."""

    def __init__(self, inventory: Inventory, sae: str) -> None:
        entry = inventory.sae(sae)
        self._context = ssl.create_default_context(cafile=inventory.ca)
        self._context.load_cert_chain(entry.cert, entry.key)
        self._address = urlsplit(inventory.kme(entry.kme).etsi014_url)
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Connects. Raises OSError."""
        host, port = self._address.hostname, self._address.port
        self._reader, self._writer = await asyncio.open_connection(host, port, ssl=self._context)

    async def ask(self, target: str) -> tuple[float, int, bytes]:
        """When the request left, the status and the body of the answer."""
        async with self._turn:
            begin = time.perf_counter()
            self._writer.write(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head = await self._reader.readuntil(b"\r\n\r\n")
            lower = head.lower()
            length = int(lower.split(b"content-length:")[1].split(b"\r\n", 1)[0])
            return begin, int(head.split(b" ", 2)[1]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Ends it."""
        self._writer.close()


def section(seconds: float) -> Section:
    """The whole city."""
    topology = load_topology("metro")
    pairs = pairs_of({sae.id: sae.kme for sae in topology.all_saes()})
    with lab(topology) as running:
        inventory = running.inventory()
        pids = [kme.pid for kme in inventory.kmes if kme.pid is not None]
        asyncio.run(_work(inventory, pairs, 2 * PERIOD_S))
        for pair in pairs:
            pair.asked = pair.shared = 0
            pair.enc_ms.clear()
            pair.dec_ms.clear()
            pair.reasons.clear()
        share, before, begin = StolenShare(), [cpu_s(pid) for pid in pids], time.monotonic()
        asyncio.run(_work(inventory, pairs, seconds))
        elapsed = time.monotonic() - begin
        cores = sum(cpu_s(pid) - earlier for pid, earlier in zip(pids, before, strict=True)) / elapsed
        stolen = share.end()
    neighbours = {frozenset(link.ends) for link in topology.links}
    joined = [pair for pair in pairs if frozenset(pair.sites) in neighbours]
    relayed = [pair for pair in pairs if frozenset(pair.sites) not in neighbours]
    rows = [
        _row("with a link", joined, elapsed),
        _row("relayed", relayed, elapsed),
        _row("all", pairs, elapsed),
    ]
    index = jains_index(pair.shared / pair.asked for pair in pairs)
    starved = sum(not pair.shared for pair in pairs)
    notes = [
        f"{len(inventory.kmes)} nodes, {len(pairs)} pairs, each asks for a key every {PERIOD_S:g} s; the nodes took "
        f"{cores:.2f} cores; stolen {stolen:.0%}",
        *(f"told: {reason}" for reason in sorted({reason for pair in pairs for reason in pair.reasons})[:10]),
    ]
    aims = [
        Aim("metro: Jain's index over all pairs", index, LEAST_INDEX),
        Aim("metro: pairs that got no key", float(starved), 0.0, at_least=False),
    ]
    return Section("metro: twelve real nodes", rows, aims, notes)


def pairs_of(homes: dict[str, str], count: int = PAIRS) -> list[Pair]:
    """As many between any two sites, as far as that goes; which SAEs, is drawn."""
    draw = random.Random(SEED)
    of_site: defaultdict[str, list[str]] = defaultdict(list)
    for sae, kme in homes.items():
        of_site[kme].append(sae)
    ways = list(itertools.permutations(of_site, 2))
    draw.shuffle(ways)
    each = -(-count // len(ways))
    drawn = {way: draw.sample(list(itertools.product(*(of_site[site] for site in way))), each) for way in ways}
    turns = zip(*drawn.values(), strict=True)
    found = [Pair(saes[0], saes[1], way) for turn in turns for way, saes in zip(drawn, turn, strict=True)]
    return found[:count]


async def _work(inventory: Inventory, pairs: Sequence[Pair], seconds: float) -> None:
    saes = {sae for pair in pairs for sae in (pair.master, pair.slave)}
    connections = {sae: Connection(inventory, sae) for sae in sorted(saes)}
    for connection in connections.values():
        await connection.open()
    until = time.monotonic() + seconds
    await asyncio.gather(*(_share(connections, pair, number, until) for number, pair in enumerate(pairs)))
    for connection in connections.values():
        connection.close()


async def _share(connections: dict[str, Connection], pair: Pair, number: int, until: float) -> None:
    await asyncio.sleep(PERIOD_S * number / PAIRS)
    while (now := time.monotonic()) < until:
        await _share_once(connections[pair.master], connections[pair.slave], pair)
        await asyncio.sleep(max(now + PERIOD_S - time.monotonic(), 0.0))


async def _share_once(master: Connection, slave: Connection, pair: Pair) -> None:
    pair.asked += 1
    begin, status, body = await master.ask(f"/api/v1/keys/{pair.slave}/enc_keys")
    if status != 200:
        pair.reasons.add(json.loads(body)["message"])
        return
    pair.enc_ms.append(1e3 * (time.perf_counter() - begin))
    key = json.loads(body)["keys"][0]
    begin, status, body = await slave.ask(f"/api/v1/keys/{pair.master}/dec_keys?key_ID={key['key_ID']}")
    if status != 200:
        pair.reasons.add(json.loads(body)["message"])
        return
    if json.loads(body)["keys"][0] != key:
        raise RuntimeError("two ends have got different keys")
    pair.dec_ms.append(1e3 * (time.perf_counter() - begin))
    pair.shared += 1


def _row(what: str, pairs: Sequence[Pair], seconds: float) -> Row:
    served = [pair.shared / pair.asked for pair in pairs]
    enc, dec = ([ms for pair in pairs for ms in getattr(pair, name)] for name in ("enc_ms", "dec_ms"))
    return {
        "pairs": what,
        "number": float(len(pairs)),
        "keys/s": sum(pair.shared for pair in pairs) / seconds,
        "served": sum(pair.shared for pair in pairs) / sum(pair.asked for pair in pairs),
        "least served": min(served),
        "Jain": jains_index(served),
        "enc p50 ms": percentile(enc, 0.5),
        "enc p99 ms": percentile(enc, 0.99),
        "dec p50 ms": percentile(dec, 0.5),
        "dec p99 ms": percentile(dec, 0.99),
    }
