"""What a BB84 link needs of its optics and electronics, and the simulated ones.

A run begins at slot 0 at both ends. The transmitter's device knows afterwards what it sent in any slot of the run; the
receiver's device tells what it detected, slot after slot. Drivers of real devices implement the same two protocols.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from keyhop.core.entropy import Entropy
from keyhop.core.errors import LinkError
from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import Disturbance
from keyhop.link.bb84.optics.line import Detections, SimulatedLine
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions
from keyhop.link.bb84.optics.pulses import PulseSource, PulseStates

_SEED_BYTES = 32


class TransmitterDevice(Protocol):
    """The laser and its modulators. Calls come one at a time; each may take a while, so none on the event loop."""

    def begin(self, run: bytes) -> None:
        """Ends the run under way, if any, and begins the one of that name. Raises LinkError."""
        ...

    def states(self, slots: NDArray[np.int64]) -> PulseStates:
        """What was sent in these slots of the run, which rise. Raises LinkError before the first run."""
        ...


class ReceiverDevice(Protocol):
    """The detectors. Calls come one at a time; each may take a while, so none on the event loop."""

    @property
    def clock_hz(self) -> float:
        """Slots per second."""
        ...

    def begin(self, run: bytes) -> None:
        """Ends the run under way, if any, and begins the one of that name. Raises LinkError."""
        ...

    def detect(self, slots: int) -> Detections:
        """What was detected in the next `slots` slots of the run. Raises LinkError before the first run."""
        ...


class SimulatedTransmitter:
    """A transmitter whose pulses follow from a secret that the simulated receiver's line has as well.

    `secret` stands for nature: who knows it knows every pulse.
    """

    def __init__(self, options: SourceOptions, secret: KeyMaterial) -> None:
        self._options = options
        self._secret = secret
        self._source: PulseSource | None = None

    def begin(self, run: bytes) -> None:
        self._source = PulseSource(self._options, self._secret, run)

    def states(self, slots: NDArray[np.int64]) -> PulseStates:
        if self._source is None:
            raise LinkError("the transmitter has not begun")
        return self._source.states(slots)


class SimulatedReceiver:
    """Detectors at the end of a simulated line. Every run has chance of its own, drawn from `entropy`.

    Options that contradict each other raise ConfigurationError here, not when a run begins.
    """

    def __init__(
        self,
        source: SourceOptions,
        channel: ChannelOptions,
        detectors: DetectorOptions,
        secret: KeyMaterial,
        entropy: Entropy,
    ) -> None:
        self._source, self._channel, self._detectors = source, channel, detectors
        self._secret = secret
        self._entropy = entropy
        self._disturbance = Disturbance()
        self._idle = self._new_line(b"", bytes(_SEED_BYTES))  # never detects: it only judges disturbances
        self._line: SimulatedLine | None = None

    @property
    def clock_hz(self) -> float:
        return self._source.clock_hz

    @property
    def disturbance(self) -> Disturbance:
        """What the line suffers from the next `detect` on."""
        return self._disturbance

    def disturb(self, disturbance: Disturbance) -> None:
        """From the next `detect` on the line suffers this, in runs to come as well. From any thread.

        Raises ConfigurationError, and changes nothing, for what no line can suffer.
        """
        self._idle.disturb(disturbance)
        self._disturbance = disturbance

    def begin(self, run: bytes) -> None:
        self._line = self._new_line(run, self._entropy.token(_SEED_BYTES))

    def detect(self, slots: int) -> Detections:
        if self._line is None:
            raise LinkError("the receiver has not begun")
        disturbance = self._disturbance
        if self._line.disturbance != disturbance:
            self._line.disturb(disturbance)
        return self._line.detect(slots)

    def _new_line(self, run: bytes, seed: bytes) -> SimulatedLine:
        pulses = PulseSource(self._source, self._secret, run)
        return SimulatedLine(self._source, self._channel, self._detectors, pulses, seed)
