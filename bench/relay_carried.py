"""How much key real nodes relay: bytes a second over some hops, and what they cost each node.

An SAE of the first node takes long keys as fast as it gets them, so the feeder keeps relaying. The links have filled
their streams before, and bring enough while it goes on.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
import msgspec

from keyhop.lab import Lab, Topology
from measure import cpu_s
from relay_saes import Refused, Sae, await_stock, chain, lab
from report import Aim, Row, Section
from stolen import StolenShare

HOPS = (1, 2, 4)
RATE_BPS = 64_000_000
BLOCK_BYTES = 1 << 17
STOCK_BYTES = 8 << 20
KEY_BITS = 8192
KEYS = 64
CONNECTIONS = 4
RISE_S = 3.0
"""Until the feeder knows what is asked for."""


def section(seconds: float) -> Section:
    """A row for each number of hops, one after the other."""
    rows: list[Row] = []
    with lab(_topology()) as running:
        for hops in HOPS:
            for one in range(hops):
                await_stock(running, f"n{one}", f"n{one + 1}", STOCK_BYTES // 2)
            with _asking(running, hops):
                time.sleep(RISE_S)
                rows.append(_row(running, hops, seconds))
    notes = [
        f"{CONNECTIONS} connections to the first of five nodes in a row, {KEYS} keys of {KEY_BITS} bits each. Over",
        "one hop nothing is relayed: what the link brings is placed in the stream. CPU is that of nodes on the path,",
        "their links' with it and, at the first one, that of the answers; nodes, SAE and host share the cores.",
    ]
    return Section("relayed by real nodes", rows, list[Aim](), notes)


def _topology() -> Topology:
    topology = chain({}, policy={"stock_bytes": STOCK_BYTES, "reserved_bytes_per_pair": 0})
    faster = {"rate_bps": RATE_BPS, "block_bytes": BLOCK_BYTES}
    links = [msgspec.structs.replace(link, options=link.options | faster) for link in topology.links]
    return msgspec.structs.replace(topology, links=links)


def _row(running: Lab, hops: int, seconds: float) -> Row:
    pids = [_pid(running, f"n{number}") for number in range(hops + 1)]
    share, cpu, came, begin = StolenShare(), _cpu(pids), _produced(running, hops), time.monotonic()
    time.sleep(seconds)
    elapsed, relayed = time.monotonic() - begin, _produced(running, hops) - came
    first, *inner, last = [1e9 * (now - before) / relayed for now, before in zip(_cpu(pids), cpu, strict=True)]
    return {
        "hops": float(hops),
        "key kB/s": relayed / elapsed / 1e3,
        "CPU ns/byte": first + sum(inner) + last,
        "first": first,
        "between": max(inner, default=None),
        "last": last,
        "stolen": share.end(),
    }


def _pid(running: Lab, name: str) -> int:
    pid = running.inventory().kme(name).pid
    assert pid is not None
    return pid


def _cpu(pids: Sequence[int]) -> list[float]:
    return [cpu_s(pid) for pid in pids]


def _produced(running: Lab, hops: int) -> int:
    """What has come into the first node's stream to the last one."""
    url = running.inventory().kme("n0").management_url + "/v1/streams"
    streams = httpx.get(url, trust_env=False, timeout=10.0).json()
    return sum(s["produced"] for s in streams if s["role"] == "owner" and s["follower"] == f"n{hops}")


@contextmanager
def _asking(running: Lab, hops: int) -> Iterator[None]:
    """An SAE takes all that it gets."""
    over = threading.Event()
    target = f"/api/v1/keys/n{hops}-1/enc_keys?number={KEYS}&size={KEY_BITS}"

    def ask() -> None:
        sae = Sae(running.inventory(), "n0-1")
        try:
            while not over.is_set():
                try:
                    sae.drain(target)
                except Refused:
                    over.wait(0.01)
        finally:
            sae.close()

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
