"""The simulated quantum line: from the transmitter's pulses to what the receiver's electronics show.

Only slots that may click are looked at. Their gaps are drawn at the largest click probability of any pulse; each is
then thinned to what the pulse in that slot really is. Random numbers are used in the order of the slots, so the
detections are the same however the slots are divided into calls. They come from a generator that is good for
statistics, not for secrets.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keyhop.core.errors import ConfigurationError
from keyhop.link.adapter import Disturbance
from keyhop.link.bb84.optics.channel import line_transmittance, receiver_transmittance
from keyhop.link.bb84.optics.detectors import error_probability, live_step_slots, noise_probability
from keyhop.link.bb84.optics.eavesdropper import Attack, Sight, attack, untouched
from keyhop.link.bb84.optics.options import (
    ChannelOptions,
    DetectorOptions,
    SourceOptions,
    check_channel,
    check_detectors,
    check_source,
)
from keyhop.link.bb84.optics.photons_kernels import (
    NEVER,
    NEXT_CANDIDATE,
    Candidates,
    Detected,
    Optics,
    candidate_slots,
    click,
    random_word,
)
from keyhop.link.bb84.optics.pulses import PulseSource, share_of_2_32

_BATCH = 1 << 15
"""Candidates at a time: what the processor's cache holds."""

_SPARE = 64
_STEPS_PER_PERIOD = 256
"""Between the steps of a drift the line is constant."""


@dataclass(frozen=True, slots=True)
class Detections:
    """What the receiver saw in the slots from `first_slot` to before `end_slot`.

    Arrays of one length: `slots` rise strictly; `bases` are those that the receiver chose (0 Z, 1 X); `bits` say
    which detector clicked; where both did, `doubles` is True and the bit random.
    """

    first_slot: int
    end_slot: int
    slots: NDArray[np.int64]
    bases: NDArray[np.uint8]
    bits: NDArray[np.uint8]
    doubles: NDArray[np.bool_]

    def __repr__(self) -> str:  # the bits are the key
        return f"<{len(self.slots)} detections in slots {self.first_slot} to {self.end_slot}>"


class SimulatedLine:
    """A line with its detectors, from slot 0 on. The same `seed` gives the same detections.

    Raises ConfigurationError for options that contradict each other. One thread at a time.
    """

    def __init__(
        self,
        source: SourceOptions,
        channel: ChannelOptions,
        detectors: DetectorOptions,
        pulses: PulseSource,
        seed: bytes,
    ) -> None:
        check_source(source)
        check_channel(channel)
        check_detectors(detectors, source)
        self._source, self._channel, self._detectors, self._pulses = source, channel, detectors, pulses
        words = np.frombuffer(hashlib.shake_256(seed).digest(64), np.uint64).copy()
        self._gap_random, self._click_random = words[:4], words[4:]
        self._memory = np.array([0, 0, NEVER, 0], np.int64)
        self._next_slot = 0
        self._live_step = live_step_slots(detectors, source)
        self._constant_slots = _constant_slots(source, channel, detectors)
        self._disturbance = Disturbance()
        self._figures: _Figures | None = None

    @property
    def next_slot(self) -> int:
        """The first slot that has not been simulated yet."""
        return self._next_slot

    @property
    def disturbance(self) -> Disturbance:
        """What the line suffers now."""
        return self._disturbance

    def disturb(self, disturbance: Disturbance) -> None:
        """From the next slot on the line suffers this. Raises ConfigurationError for what no line can suffer."""
        eavesdropper = disturbance.eavesdropper
        if not 0 <= disturbance.extra_loss_db < math.inf:
            raise ConfigurationError("extra_loss_db shall not be negative", hint="give the loss in decibel, as 3.0")
        if eavesdropper is not None and not 0 <= eavesdropper.fraction <= 1:
            raise ConfigurationError("the eavesdropper's fraction shall be from 0 to 1", hint="1.0: every pulse")
        self._disturbance, self._figures = disturbance, None

    def detect(self, slots: int) -> Detections:
        """Simulates the next `slots` clock slots; takes memory for their detections, some 20 bytes each."""
        first_slot, end_slot = self._next_slot, self._next_slot + slots
        shown = [_room(0)]
        while self._next_slot < end_slot:
            if self._figures is None or self._next_slot >= self._figures.until:
                self._figures = self._figures_now()
            stop = min(end_slot, self._figures.until)
            shown.extend(self._until(stop, self._figures))
            self._next_slot = stop
        return Detections(first_slot, end_slot, *(np.concatenate(column) for column in zip(*shown, strict=True)))

    def _until(self, stop: int, figures: "_Figures") -> Iterator[Detected]:
        """Detections up to `stop`, in batches."""
        reached = -1
        while reached < stop:
            candidates = np.empty(_BATCH, np.int64)
            count = candidate_slots(self._gap_random, self._memory, stop, figures.inverse_log, candidates)
            reached = min(stop, int(self._memory[NEXT_CANDIDATE]))
            yield self._clicks(candidates[:count], figures.optics, reached)

    def _clicks(self, slots: NDArray[np.int64], optics: Optics, end_slot: int) -> Detected:
        sent = self._pulses.states(slots)
        candidates = Candidates(slots, sent.bits, sent.bases, sent.intensities)
        shown = _room(2 * len(slots) + _SPARE)
        count = click(self._click_random, candidates, optics, self._memory, end_slot, shown)
        return Detected(
            shown.slots[:count].copy(),
            shown.bases[:count].copy(),
            shown.bits[:count].copy(),
            shown.doubles[:count].copy(),
        )

    def _figures_now(self) -> "_Figures":
        """The chances from the next slot on, and a new first candidate: what was drawn is of older chances."""
        step = self._next_slot // self._constant_slots
        time_s = (step + 0.5) * self._constant_slots / self._source.clock_hz
        sight = _sight(self._source, self._channel, self._detectors, self._disturbance, time_s)
        eavesdropper = None if self._disturbance.cut else self._disturbance.eavesdropper
        optics, most = _optics(
            sight,
            attack(eavesdropper, sight) if eavesdropper else None,
            eavesdropper.fraction if eavesdropper else 0.0,
            self._detectors.afterpulse_probability,
            self._live_step,
        )
        figures = _Figures((step + 1) * self._constant_slots, _inverse_log(most), optics)
        uniform = (int(random_word(self._gap_random)) + 1) / 2**64
        gap = math.log(uniform) * figures.inverse_log
        self._memory[NEXT_CANDIDATE] = self._next_slot + int(gap) if gap < 1e18 else NEVER
        return figures


@dataclass(frozen=True, slots=True)
class _Figures:
    """What the kernels need to know while the line does not change, before slot `until`."""

    until: int
    inverse_log: float
    optics: Optics


def _room(size: int) -> Detected:
    return Detected(
        np.empty(size, np.int64), np.empty(size, np.uint8), np.empty(size, np.uint8), np.empty(size, np.bool_)
    )


def _optics(
    sight: Sight, attack: Attack | None, fraction: float, afterpulse: float, live_step: int
) -> tuple[Optics, float]:
    """For an `attack` on `fraction` of the pulses; and the largest chance of a click, which candidates have."""
    normal = untouched(sight)
    outcomes = np.cumsum([normal, normal if attack is None else attack.outcomes], axis=-1)
    most = float(outcomes.max())
    measured_in_z = None if attack is None else attack.measured_in_z
    leaves_afterpulses = attack is None or attack.afterpulses
    optics = Optics(
        outcomes=outcomes / most if most > 0 else outcomes,
        receiver_z=share_of_2_32(sight.receiver_z),
        afterpulses=np.array([share_of_2_32(afterpulse), share_of_2_32(afterpulse * leaves_afterpulses)]),
        attacked=share_of_2_32(fraction),
        measured_in_z=np.int64(-1 if measured_in_z is None else share_of_2_32(measured_in_z)),
        live_step=live_step,
    )
    return optics, most


def _sight(
    source: SourceOptions,
    channel: ChannelOptions,
    detectors: DetectorOptions,
    disturbance: Disturbance,
    time_s: float,
) -> Sight:
    return Sight(
        intensities=source.intensities,
        probabilities=source.probabilities,
        line=0.0 if disturbance.cut else line_transmittance(channel, time_s, disturbance.extra_loss_db),
        receiver=receiver_transmittance(channel, detectors),
        error=error_probability(detectors, time_s),
        noise=noise_probability(channel, detectors, cut=disturbance.cut),
        receiver_z=detectors.z_probability,
    )


def _inverse_log(probability: float) -> float:
    """1 / ln(1 - p), with its limits at 0 and 1."""
    if probability <= 0:
        return -math.inf
    return 1 / math.log1p(-probability) if probability < 1 else 0.0


def _constant_slots(source: SourceOptions, channel: ChannelOptions, detectors: DetectorOptions) -> int:
    periods_s = []
    if channel.loss_drift_db > 0:
        periods_s.append(channel.loss_drift_period_s)
    if detectors.visibility_drift > 0:
        periods_s.append(detectors.visibility_drift_period_s)
    if not periods_s:
        return int(NEVER)
    return max(1, int(min(periods_s) * source.clock_hz / _STEPS_PER_PERIOD))
