"""Relayed key bytes over hops: what they cost every node together, by each strategy, beside what they cost at least."""

import cProfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.priority import USUAL_PRIORITY
from keyhop.network.relay.messages import BlockPayload
from keyhop.network.relay.parcels import Parcel, Plan
from measure import MAX_STOLEN
from relay_limits import Tls, sealing
from relay_sites import Sites, chain, disjoint, links_of
from report import Aim, Row, Section
from stolen import StolenShare

PARCEL_BYTES = 32 << 10
AT_ONCE = 4
"""Parcels that are under way at a time, as the feeder has them."""
STOCK_BYTES = 6 << 20
LEFT_BYTES = AT_ONCE * 2 * PARCEL_BYTES
PRIORITY = USUAL_PRIORITY + 1
"""Whatever has no higher one than the usual leaves a part of each link, until more has come."""
HOPS = (1, 2, 4, 8)
SHARED_HOPS = (2, 4, 8)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of all nodes, of the busiest one, and of all commits; and bytes of key that arrived."""

    all_s: float
    busiest_s: float
    commits_s: float
    wall_s: float
    key_bytes: int
    stolen: float


def plans() -> Iterator[tuple[str, int, Plan]]:
    """What is compared: name, hops, plan."""
    for hops in HOPS:
        yield "hop-by-hop", hops, Plan("hop-by-hop", (chain(hops),))
    for hops in HOPS:
        yield "xor-at-destination", hops, Plan("xor-at-destination", (chain(hops),))
    for hops in SHARED_HOPS:
        yield "shared, 2 of 2", hops, Plan("secret-shared", disjoint(2, hops), 2)
    for hops in SHARED_HOPS:
        yield "shared, 2 of 3", hops, Plan("secret-shared", disjoint(3, hops), 2)


def section(seconds: float, profile: cProfile.Profile | None) -> Section:
    """Measures all of them."""
    rows: list[Row] = []
    stolen: list[float] = []
    data = bytes(PARCEL_BYTES)
    floors = {hops: (sealing(data, hops), Tls(hops).copying(data)) for hops in HOPS}
    for name, hops, plan in plans():
        cost = _measured(plan, seconds, profile)
        ways = len(plan.paths)
        pads_s, tls_s = (ways * limit / PARCEL_BYTES for limit in floors[hops])
        each_s = cost.all_s / cost.key_bytes
        rows.append(
            {
                "strategy": name,
                "hops": float(hops),
                "key MB/s": cost.key_bytes / cost.wall_s / 1e6,
                "CPU ns/byte": 1e9 * each_s,
                "busiest node": 1e9 * cost.busiest_s / cost.key_bytes,
                "commits": 1e9 * cost.commits_s / cost.key_bytes,
                "pads and tags": 1e9 * pads_s,
                "TLS": 1e9 * tls_s,
                "of pads": each_s / pads_s,
                "of TLS": each_s / tls_s,
                "stolen": cost.stolen,
            }
        )
        stolen.append(cost.stolen)
    notes = [
        f"Blocks of {PARCEL_BYTES} bytes, {AT_ONCE} under way, until they are in the stream of both ends; all nodes in",
        "one process on one core, with their stores, without sockets. `pads and tags`: pad and Poly1305 of the",
        "same bytes at both ends of each hop of each path, and nothing else; `TLS`: encrypted and decrypted at each.",
    ]
    return Section("relayed blocks, hop by hop, in one process", rows, list[Aim](), notes)


def _measured(plan: Plan, seconds: float, profile: cProfile.Profile | None) -> Cost:
    with TemporaryDirectory(prefix="keyhop-bench-") as directory:
        sites = Sites(Path(directory), links_of(plan.paths))
        try:
            _relay(sites, plan, 0.2, None)
            cost = _relay(sites, plan, seconds, profile)
            return cost if cost.stolen <= MAX_STOLEN else _relay(sites, plan, seconds, profile)
        finally:
            sites.close()


def _relay(sites: Sites, plan: Plan, seconds: float, profile: cProfile.Profile | None) -> Cost:
    share = StolenShare()
    source, target = plan.paths[0][0], plan.paths[0][-1]
    wall_s = commits_s = 0.0
    cpu_s: dict[KmeId, float] = dict.fromkeys(sites.kmes, 0.0)
    key_bytes = 0
    while wall_s < seconds:
        _drain(sites, source, target)
        sites.fill_all(STOCK_BYTES)
        before, commits, begin = dict(sites.cpu_s), sites.commits()[0], time.perf_counter()
        if profile:
            profile.enable()
        while _least_stock(sites, plan) > LEFT_BYTES:
            key_bytes += _send(sites, plan, source, target)
        if profile:
            profile.disable()
        wall_s += time.perf_counter() - begin
        commits_s += sites.commits()[0] - commits
        for name in cpu_s:
            cpu_s[name] += sites.cpu_s[name] - before.get(name, 0.0)
    return Cost(sum(cpu_s.values()), max(cpu_s.values()), commits_s, wall_s, key_bytes, share.end())


def _send(sites: Sites, plan: Plan, source: KmeId, target: KmeId) -> int:
    """A few parcels at the same time; how many bytes of key have come of them."""
    outcome: list[str | None] = []
    kme = sites.kmes[source]
    begin = time.process_time()
    for _ in range(AT_ONCE):
        data = KeyMaterial(sites.entropy.token(PARCEL_BYTES))
        parcel = Parcel(target, BlockPayload(), data, PRIORITY)
        kme.relay.send(parcel, plan, sites.clock.monotonic() + 10.0, outcome.append)
    sites.cpu_s[source] += time.process_time() - begin
    sites.settle()
    if outcome != [None] * AT_ONCE:
        raise RuntimeError(f"a parcel did not arrive: {outcome}")
    return AT_ONCE * PARCEL_BYTES


def _least_stock(sites: Sites, plan: Plan) -> int:
    hops = links_of(plan.paths)
    return min(sites.kmes[one].peers[other].neighbour.owned.stock_units * 8 for one, other in hops)


def _drain(sites: Sites, source: KmeId, target: KmeId) -> None:
    """What was relayed is used, so that streams stay small."""
    pair = sites.kmes[source].peers[target].relayed
    pair.owned.expire(sites.clock.wall() + 1.0)
    pair.leasing.stock_changed()
    sites.settle()
