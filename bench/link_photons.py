"""What the simulated quantum line costs, in CPU time of one thread: .venv/bin/python bench/link_photons.py"""

import time
from collections.abc import Callable

import numpy as np

from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import Disturbance, Eavesdropper
from keyhop.link.bb84.optics import photons_kernels
from keyhop.link.bb84.optics.line import SimulatedLine
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions
from keyhop.link.bb84.optics.photons_kernels import NEVER, Candidates, Detected, Optics
from keyhop.link.bb84.optics.pulses import PulseSource

SECRET = KeyMaterial(bytes(32))
SOURCE = SourceOptions()
CALL_SLOTS = 20_000_000
"""20 ms of the line at 1 GHz per call."""


def measure() -> list[tuple[str, str]]:
    """Rows of label and figure."""
    started = time.process_time()
    photons_kernels.warm_up()
    rows = [("kernels ready (compiled, or loaded from disk)", f"{time.process_time() - started:.2f} s")]
    rows += [_states(), *_kernels()]
    for loss_db in (2, 10, 20):
        rows.append(_line(f"line at {loss_db} dB", ChannelOptions(loss_db=loss_db), DetectorOptions()))
    troubled = DetectorOptions(dead_time_ns=10, afterpulse_probability=0.02)
    rows.append(_line("line at 2 dB, 10 ns dead time, 2 % afterpulses", ChannelOptions(loss_db=2), troubled))
    for attack in ("intercept-resend", "photon-number-splitting", "blinding"):
        eavesdropper = Eavesdropper(attack)
        rows.append(_line(f"line at 10 dB, {attack}", ChannelOptions(), DetectorOptions(), eavesdropper))
    return rows


def _best_s(work: Callable[[], object], repeats: int = 5) -> float:
    """The least CPU time: what others on the machine add is not ours."""
    times = []
    for _ in range(repeats):
        started = time.thread_time()
        work()
        times.append(time.thread_time() - started)
    return min(times)


def _states() -> tuple[str, str]:
    source = PulseSource(SOURCE, SECRET, b"bench")
    slots = np.cumsum(np.random.default_rng(1).geometric(0.0084, 1 << 20))
    return "states of pulses (AES-256)", f"{len(slots) / _best_s(lambda: source.states(slots)) / 1e6:.0f} M slots/s"


def _kernels() -> list[tuple[str, str]]:
    """The line at 10 dB without AES: the states are computed before."""
    size, click_probability = 1 << 15, 0.0084
    random, memory = np.arange(1, 5, dtype=np.uint64), np.array([0, 0, NEVER, 0], np.int64)
    slots, inverse_log = np.empty(size, np.int64), 1 / np.log1p(-click_probability)
    gaps_s = _best_s(lambda: photons_kernels.candidate_slots(random, memory, int(NEVER), inverse_log, slots), 50)
    sent = PulseSource(SOURCE, SECRET, b"bench").states(slots)
    chances = [[[share * 0.5, share, share] for _ in range(2)] for share in (1.0, 0.27)]
    nobody, never, shares = np.uint64(0), np.int64(-1), np.zeros(2, np.uint64)
    optics = Optics(np.array([chances, chances]), np.uint64(1 << 31), shares, nobody, never, 1)
    candidates = Candidates(slots, sent.bits, sent.bases, sent.intensities)
    room = 3 * size
    shown = Detected(
        np.empty(room, np.int64), np.empty(room, np.uint8), np.empty(room, np.uint8), np.empty(room, np.bool_)
    )
    found = 0

    def click() -> None:
        nonlocal found
        fresh = np.array([0, 0, NEVER, 0], np.int64)
        found = photons_kernels.click(random, candidates, optics, fresh, int(slots[-1]) + 1, shown)

    clicks_s = _best_s(click, 50)
    return [
        ("kernel: gaps between candidates", f"{size / gaps_s / 1e6:.0f} M candidates/s"),
        ("kernel: clicks", f"{found / clicks_s / 1e6:.0f} M detections/s"),
        ("both kernels", f"{found / (gaps_s + clicks_s) / 1e6:.0f} M detections/s"),
    ]


def _line(
    label: str, channel: ChannelOptions, detectors: DetectorOptions, eavesdropper: Eavesdropper | None = None
) -> tuple[str, str]:
    line = SimulatedLine(SOURCE, channel, detectors, PulseSource(SOURCE, SECRET, b"bench"), b"bench")
    line.disturb(Disturbance(eavesdropper=eavesdropper))
    detections = len(line.detect(CALL_SLOTS).slots)
    spent_s = _best_s(lambda: line.detect(CALL_SLOTS), 8)
    share = spent_s / (CALL_SLOTS / SOURCE.clock_hz)
    rate = detections / CALL_SLOTS * SOURCE.clock_hz / 1e6
    return label, f"{detections / spent_s / 1e6:.0f} M detections/s; {share:.3f} of a core for {rate:.2f} M/s at 1 GHz"


if __name__ == "__main__":
    for row in measure():
        print(f"{row[0]:50} {row[1]}")
