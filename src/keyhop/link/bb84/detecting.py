"""The pace of the receiver's device: as many slots as its clock has had, in batches, on a worker of its own.

A device that keeps up looks once a period at what is due. One that is behind goes from batch to batch without a pause.
Slots that cannot be looked at in time are skipped and counted: when this machine simulates too slowly, and when the
far end or the reconciliation do not keep up.
"""

from collections.abc import Callable
from concurrent.futures import Future

from keyhop.core.clock import Clock
from keyhop.link.bb84.devices import ReceiverDevice
from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.worker import Worker

PERIOD_S = 0.05
LEAST_DUE_S = PERIOD_S / 2
"""Less than this can wait: every batch costs both ends messages."""

FIRST_BATCH_S = 0.005
"""Before it is known how much a batch brings."""

MAX_BEHIND_S = 1.0
MAX_BATCH_DETECTIONS = 1 << 20

type Detected = Callable[[bytes, Future[Detections]], None]


class Detecting:
    """`turn` is called every PERIOD_S or so, and whenever a batch was taken; on the event loop."""

    def __init__(self, device: ReceiverDevice, worker: Worker, clock: Clock) -> None:
        self.skipped_slots = 0
        self._device, self._worker, self._clock = device, worker, clock
        self._run: bytes | None = None
        self._looked_until_s = clock.monotonic()
        self._busy = False
        self._begun = b""
        self._detections_per_s: float | None = None

    def turn(self, run: bytes | None, *, wanted: bool, detected: Detected) -> None:
        """Looks at what is due in the run. `detected` gets it, or the failure."""
        now_s = self._clock.monotonic()
        if run is None or run != self._run:
            self._run, self._looked_until_s, self._detections_per_s = run, now_s, None
            return
        self._skip_until(now_s - MAX_BEHIND_S)
        if self._busy or not wanted:
            return
        due_s = now_s - self._looked_until_s
        if due_s < LEAST_DUE_S:
            return
        batch_s = min(due_s, self._longest_batch_s())
        slots = int(batch_s * self._device.clock_hz)
        if slots < 1:
            return
        self._looked_until_s += slots / self._device.clock_hz
        self._busy = True
        self._worker.submit(lambda: self._look(run, slots), lambda found: self._found(run, batch_s, found, detected))

    def close(self) -> None:
        """Ends the worker."""
        self._worker.close()

    def _look(self, run: bytes, slots: int) -> Detections:
        if self._begun != run:
            self._begun = run
            self._device.begin(run)
        return self._device.detect(slots)

    def _found(self, run: bytes, batch_s: float, found: Future[Detections], detected: Detected) -> None:
        self._busy = False
        if found.exception() is None:
            self._detections_per_s = len(found.result().slots) / batch_s
        detected(run, found)

    def _longest_batch_s(self) -> float:
        if self._detections_per_s is None:
            return FIRST_BATCH_S
        return MAX_BATCH_DETECTIONS / max(self._detections_per_s, 1.0)

    def _skip_until(self, until_s: float) -> None:
        if until_s > self._looked_until_s:
            self.skipped_slots += int((until_s - self._looked_until_s) * self._device.clock_hz)
            self._looked_until_s = until_s
