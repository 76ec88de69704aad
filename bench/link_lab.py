"""A bb84 link between two real nodes over loopback TLS, watched for a while."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keyhop.lab import Lab, Topology
from keyhop.management import Management
from keyhop.node.state import LinkInfo
from measure import cpu_s
from stolen import StolenShare

SETTLE_S = 6.0
"""After the first blocks: until rounds follow each other as they will."""

FIRST_BLOCKS_S = 120.0


@dataclass(frozen=True, slots=True)
class LinkRun:
    """What a link did over `seconds`. Rates in bits per second of real time; cores are shares of one core."""

    seconds: float
    secret_bps: float
    sifted_bps: float
    qber: float
    efficiency: float
    secret_fraction: float
    simulated: float
    """The share of real time whose slots were simulated at all: 1 when the machine keeps up."""
    transmitter_cores: float
    receiver_cores: float
    stolen: float

    @property
    def cores(self) -> float:
        """Of both nodes together."""
        return self.transmitter_cores + self.receiver_cores


def watch(topology: Topology, clock_hz: float, seconds: float, say: Callable[[str], None]) -> LinkRun:
    """Brings a topology of one link up, lets it run, and brings it down."""
    with tempfile.TemporaryDirectory(prefix="keyhop-bench-") as directory:
        lab = Lab.up(topology, Path(directory) / "lab", timeout_s=FIRST_BLOCKS_S)
        try:
            return _watch(lab, topology.links[0].id, clock_hz, seconds, say)
        finally:
            lab.down()


def _watch(lab: Lab, link: str, clock_hz: float, seconds: float, say: Callable[[str], None]) -> LinkRun:
    ends = lab.management(link)
    pids = [kme.pid for kme in lab.inventory().kmes if kme.pid is not None]
    transmitter, receiver = list(ends.values())
    time.sleep(SETTLE_S)
    share, begin = StolenShare(), time.monotonic()
    cpu = [cpu_s(pid) for pid in pids]
    first = receiver.link(link)
    samples = [first]
    while (elapsed := time.monotonic() - begin) < seconds:
        say(f"{link}: {elapsed:.0f} of {seconds:.0f} s, {samples[-1].sbr_bps / 1e6:.2f} Mbit/s secret")
        time.sleep(min(1.0, seconds - elapsed))
        samples.append(_generating(receiver, transmitter, link))
    elapsed = time.monotonic() - begin
    last = samples[-1]
    cores = [(cpu_s(pid) - before) / elapsed for pid, before in zip(pids, cpu, strict=True)]
    skipped = float(last.details["slots_skipped"]) - float(first.details["slots_skipped"])
    return LinkRun(
        seconds=elapsed,
        secret_bps=_mean([sample.sbr_bps for sample in samples]),
        sifted_bps=_mean([float(sample.details["sifted_bps"]) for sample in samples]),
        qber=last.qber or 0.0,
        efficiency=float(last.details["error_correction_efficiency"]),
        secret_fraction=float(last.details["secret_fraction"]),
        simulated=max(0.0, 1 - skipped / (clock_hz * elapsed)),
        transmitter_cores=cores[0],
        receiver_cores=cores[1],
        stolen=share.end(),
    )


def _generating(receiver: Management, transmitter: Management, link: str) -> LinkInfo:
    ends = [receiver.link(link), transmitter.link(link)]
    for end in ends:
        if end.state != "generating":
            raise SystemExit(f"error: link {link} is {end.state}: {end.reason}")
    return ends[0]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
