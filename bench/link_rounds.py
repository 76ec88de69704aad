"""What whole rounds cost: CPU time of both engines of a BB84 link, and where it goes.

Two production engines in one thread, with a simulated line of 10 dB between them and a wire that takes no time; so the
figures are of both parties together, on one core. One round is run to warm up, then as many as make it worthwhile.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

from keyhop.link.bb84 import compilation
from keyhop.link.bb84.authentication.transcripts import Transcript
from keyhop.link.bb84.devices import SimulatedReceiver, SimulatedTransmitter
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions
from keyhop.link.bb84.protocol import receiver_round, session, transmitter_round
from keyhop.link.bb84.reconciliation.cascade import Cascade
from keyhop.link.bb84.reconciliation.ldpc import Ldpc
from keyhop.link.bb84.settings import Bb84Options
from keyhop.link.bb84.sifting.sides import ReceiverSifting, TransmitterSifting
from keyhop.testing.bb84_link import EnginePair, options

ROUNDS_OF = {2_400_000: 4, 20_000_000: 1}
METHODS = ("cascade", "ldpc")
STEP_S = 0.05

STAGES: dict[str, tuple[tuple[Any, str], ...]] = {
    "simulate": ((SimulatedTransmitter, "states"), (SimulatedReceiver, "detect")),
    "sift": ((TransmitterSifting, "detections"), (ReceiverSifting, "announce"), (ReceiverSifting, "sifted")),
    "reconcile": tuple((method, name) for method in (Cascade, Ldpc) for name in ("__init__", "start", "received")),
    "verify": (
        (transmitter_round, "digest"),
        (transmitter_round, "frame_digests"),
        (receiver_round, "agrees"),
    ),
    "authenticate": ((Transcript, "add"), (Transcript, "seal"), (Transcript, "verify")),
    "amplify": ((transmitter_round, "amplified"), (receiver_round, "amplified")),
}


class Stopwatch:
    """CPU seconds by stage; a stage inside another counts for the inner one only."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = {}
        self._inner_s = 0.0

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, measured."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            outer_s, self._inner_s = self._inner_s, 0.0
            begin_s = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                elapsed_s = time.thread_time() - begin_s
                self.spent_s[stage] = self.spent_s.get(stage, 0.0) + elapsed_s - self._inner_s
                self._inner_s = outer_s + elapsed_s

        return measured

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Measures every stage while it is entered."""
        with contextlib.ExitStack() as stack:
            for stage, functions in STAGES.items():
                for owner, name in functions:
                    real = getattr(owner, name)
                    stack.enter_context(mock.patch.object(owner, name, self.timed(stage, real)))
            yield


def line(block_bits: int, method: str) -> Bb84Options:
    """10 dB at 1 GHz, a QBER of 2 %, one decoy, prepared as is best for rounds of 2e7 bits."""
    return replace(
        options(block_bits=block_bits, method=method),
        source=SourceOptions(intensities=(0.413, 0.118), probabilities=(0.7, 0.3), z_probability=0.882),
        channel=ChannelOptions(loss_db=10.0),
        detectors=DetectorOptions(z_probability=0.882),
    )


def rounds(block_bits: int, method: str, count: int) -> list[tuple[str, str]]:
    """What so many rounds cost after a first one."""
    pair, watch = EnginePair(line(block_bits, method)), Stopwatch()
    with watch.watching():
        _until(pair, 1)
        watch.spent_s.clear()
        secret = pair.shared()
        begin_s = time.thread_time()
        _until(pair, 1 + count)
        total_s = time.thread_time() - begin_s
    efficiency = pair.receiver.engine.view.details["error_correction_efficiency"]
    sifted = block_bits * count
    spent = watch.spent_s | {"the rest": total_s - sum(watch.spent_s.values())}
    after_sifting_s = total_s - spent["simulate"]
    name = f"{method}, rounds of {block_bits / 1e6:g} Mbit"
    found = [
        (
            f"{name}: both parties, simulation not counted",
            f"{sifted / after_sifting_s / 1e6:.1f} Mbit/s sifted per core",
        ),
        (f"{name}: with the simulation", f"{sifted / total_s / 1e6:.1f} Mbit/s sifted per core"),
        (
            f"{name}: secret",
            f"{8 * (pair.shared() - secret) / sifted:.3f} of the sifted bits, f = {efficiency}",
        ),
    ]
    stages = (*STAGES, "the rest")
    return found + [(f"{name}: {stage}", f"{spent.get(stage, 0.0) / count:.3f} s a round") for stage in stages]


def _until(pair: EnginePair, count: int) -> None:
    while min(int(end.engine.view.details["rounds"]) for end in pair.ends) < count:
        pair.step(STEP_S)


def measure(rounds_of: dict[int, int] = ROUNDS_OF) -> list[tuple[str, str]]:
    """Names and figures, for people."""
    compilation.warm_up()
    assert set(session.METHODS) == set(METHODS)
    return [row for method in METHODS for bits, count in rounds_of.items() for row in rounds(bits, method, count)]


if __name__ == "__main__":
    for name, figure in measure():
        print(f"{name:72s} {figure}")
