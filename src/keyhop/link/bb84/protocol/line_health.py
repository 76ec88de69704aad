"""Whether the line is fit, seen while bits are sifted: both ends look at the same numbers and conclude the same.

A round takes from seconds to minutes; these checks see an eavesdropper, a cut or a misalignment sooner. They decide
nothing about keys: that is for the counts of whole rounds.
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


def excess(sample: XSample, max_qber: float) -> str | None:
    """What to say when too many of the last events in X are wrong; None while they are not."""
    expected = max_qber * sample.events
    if sample.events < MIN_EVENTS or sample.errors <= expected + DEVIATIONS * math.sqrt(expected):
        return None
    return f"QBER {sample.errors / sample.events:.1%} in the test basis is over the limit of {max_qber:.1%}"


def is_fine(sample: XSample, max_qber: float) -> bool:
    """Whether there are enough events in X, and few enough of them wrong."""
    return sample.events >= ENOUGH_EVENTS and excess(sample, max_qber) is None


class LightLevel:
    """Whether the receiver's detectors click much less than they did."""

    def __init__(self, window_slots: float) -> None:
        self._window_slots = window_slots
        self._batches: deque[tuple[int, int]] = deque()
        self._slots = self._clicks = 0
        self._best = 0.0
        self.dark = False

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
            self.dark = expected >= MIN_CLICKS and self._clicks < LOST_FRACTION * expected


class SiftingRate:
    """Sifted bits per second over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, sifted_bits: int) -> float:
        """How many bits there are so far, and at which monotonic second: the rate."""
        self._samples.append((now_s, sifted_bits))
        while len(self._samples) > 2 and now_s - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()
        elapsed_s = now_s - self._samples[0][0]
        return (sifted_bits - self._samples[0][1]) / elapsed_s if elapsed_s > 0 else 0.0
