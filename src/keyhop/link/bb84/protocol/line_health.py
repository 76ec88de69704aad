"""Whether the line is fit: both ends look at the same numbers and conclude the same; what clicks, the receiver alone.

Errors show in the sample that begins a run, and then as a round's detections are announced, before it is corrected. A
cut shows at once. These checks decide nothing about keys: that is for the counts of whole rounds.
"""

import math
from collections import deque

from keyhop.link.bb84.sifting.rounds import XSample

MIN_EVENTS = 100
"""Events in X below which nothing is said."""

ENOUGH_EVENTS = 1000
"""Events in X from which on a low error rate is believed."""

DEVIATIONS = 5.0
"""How many standard deviations an error rate must be over the limit: once in millions of samples by chance."""

WINDOW_S = 3.0
LOST_FRACTION = 0.02
"""Of the clicks that there were at best: about 17 dB more loss."""

MIN_CLICKS = 500
"""Clicks that are expected in a window before their absence says anything."""

NOISE_TOLERANCE = 1.5
"""Dark counts may be so many times as many as the receiver's detectors are said to have."""

ENOUGH_NOISE = 10
"""Dark counts, if expected in some batches, make these enough to tell light from noise."""


def excessive(sample: XSample, max_qber: float) -> bool:
    """Whether too many of the last events in X are wrong. At that moment their rate is about the limit, whatever it
    became: tell that of the newest ones."""
    expected = max_qber * sample.events
    return sample.events >= MIN_EVENTS and sample.errors > expected + DEVIATIONS * math.sqrt(expected)


def is_fine(sample: XSample, max_qber: float) -> bool:
    """Whether there are enough events in X, and few enough of them wrong."""
    return sample.events >= ENOUGH_EVENTS and not excessive(sample, max_qber)


class LightLevel:
    """Whether the receiver's detectors click much less than they did, or hardly more than in the dark.

    `noise_per_slot` is how often they click without light.
    """

    def __init__(self, window_slots: float, noise_per_slot: float) -> None:
        self._window_slots = window_slots
        self._noise_per_slot = noise_per_slot
        self._best = 0.0
        self.dark = False
        self.new_run()

    def new_run(self) -> None:
        """What follows has a time of its own; how much light there was at best stays known."""
        self._batches: deque[tuple[int, int]] = deque()
        self._slots = self._clicks = 0

    def add(self, slots: int, clicks: int) -> None:
        """A batch of detections."""
        self._batches.append((slots, clicks))
        self._slots += slots
        self._clicks += clicks
        while self._slots - self._batches[0][0] >= self._window_slots:
            oldest_slots, oldest_clicks = self._batches.popleft()
            self._slots -= oldest_slots
            self._clicks -= oldest_clicks
        if self._slots >= self._window_slots:
            self._best = max(self._best, self._clicks / self._slots)
            expected = self._best * self._slots
            lost = expected >= MIN_CLICKS and self._clicks < LOST_FRACTION * expected
            self.dark = lost or self._may_be_noise(self._slots, self._clicks)

    @property
    def only_noise(self) -> bool:
        """Whether the last batches may be nothing but dark counts and what follows these."""
        slots = clicks = 0
        for batch_slots, batch_clicks in reversed(self._batches):
            slots, clicks = slots + batch_slots, clicks + batch_clicks
            if slots * self._noise_per_slot >= ENOUGH_NOISE:
                break
        return self._may_be_noise(slots, clicks)

    def is_enough(self) -> None:
        """There is a key: with what is left of the light one can live."""
        if self.dark and self._slots:
            self._best, self.dark = self._clicks / self._slots, False

    def _may_be_noise(self, slots: int, clicks: int) -> bool:
        most = NOISE_TOLERANCE * self._noise_per_slot * slots
        return clicks <= most + DEVIATIONS * math.sqrt(most) + DEVIATIONS


class SiftingRate:
    """Sifted bits per second over the last rounds, at least WINDOW_S of them; less when the next one is overdue."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, sifted_bits: int) -> float:
        """How many bits there are so far, and at which monotonic second: the rate."""
        if not self._samples or sifted_bits > self._samples[-1][1]:
            self._samples.append((now_s, sifted_bits))
        while len(self._samples) > 2 and self._samples[-1][0] - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()
        (first_s, first_bits), (last_s, last_bits) = self._samples[0], self._samples[-1]
        elapsed_s = max(last_s - first_s, now_s - last_s)
        return (last_bits - first_bits) / elapsed_s if elapsed_s > 0 else 0.0
