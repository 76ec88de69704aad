"""The pace of the receiver's device, and what its clicks say of the line."""

import math
from concurrent.futures import Future
from random import Random

import numpy as np
import pytest

from keyhop.core.errors import LinkError
from keyhop.link.bb84.detecting import (
    FIRST_BATCH_S,
    LEAST_DUE_S,
    MAX_BATCH_DETECTIONS,
    MAX_BEHIND_S,
    PERIOD_S,
    Detecting,
)
from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.protocol.line_health import MIN_EVENTS, LightLevel, SiftingRate, excessive, is_fine
from keyhop.link.bb84.sifting.rounds import XSample
from keyhop.link.bb84.worker import InlineWorker
from keyhop.testing.virtual_time import VirtualTime

CLOCK_HZ = 1e6


class Device:
    """Detects in every tenth slot; keeps what it was asked."""

    clock_hz = CLOCK_HZ

    def __init__(self) -> None:
        self.runs: list[bytes] = []
        self.looked: list[int] = []
        self.broken = False

    def begin(self, run: bytes) -> None:
        self.runs.append(run)

    def detect(self, slots: int) -> Detections:
        if self.broken:
            raise LinkError("broken")
        first = sum(self.looked)
        self.looked.append(slots)
        at = np.arange(first, first + slots, 10, dtype=np.int64)
        none = np.zeros(len(at), np.uint8)
        return Detections(first, first + slots, at, none, none, none.astype(np.bool_))


class Bench:
    def __init__(self) -> None:
        self.time, self.device = VirtualTime(), Device()
        self.detecting = Detecting(self.device, InlineWorker(), self.time)
        self.found: list[Future[Detections]] = []

    def turn(self, run: bytes | None = b"run", *, wanted: bool = True, after_s: float = PERIOD_S) -> None:
        self.time.stall(after_s)
        self.detecting.turn(run, wanted=wanted, detected=lambda run, found: self.found.append(found))


def test_it_keeps_pace_with_the_clock() -> None:
    bench = Bench()
    bench.turn()  # the run begins now
    for _ in range(40):
        bench.turn()
    assert bench.device.looked[0] == int(FIRST_BATCH_S * CLOCK_HZ)
    assert sum(bench.device.looked) == pytest.approx(40 * PERIOD_S * CLOCK_HZ, abs=40)
    assert bench.detecting.skipped_slots == 0
    assert (bench.device.runs, len(bench.found)) == ([b"run"], 40)


def test_a_new_run_begins_at_its_own_time() -> None:
    bench = Bench()
    for run in (None, b"one", b"one", None, b"two", b"two", b"two"):
        bench.turn(run)
    assert bench.device.runs == [b"one", b"two"]
    assert bench.detecting.skipped_slots == 0


def test_what_is_not_wanted_for_long_is_skipped_and_counted() -> None:
    bench = Bench()
    bench.turn()
    bench.turn()
    looked = sum(bench.device.looked)
    for _ in range(40):
        bench.turn(wanted=False)
    assert sum(bench.device.looked) == looked
    bench.turn()
    assert sum(bench.device.looked) - looked == pytest.approx(MAX_BEHIND_S * CLOCK_HZ, rel=1e-3)
    assert sum(bench.device.looked) + bench.detecting.skipped_slots == pytest.approx(42 * PERIOD_S * CLOCK_HZ, rel=1e-3)


def test_what_is_not_wanted_for_a_moment_is_looked_at_later() -> None:
    bench = Bench()
    bench.turn()
    bench.turn()
    for _ in range(10):
        bench.turn(wanted=False)
    bench.turn()
    assert sum(bench.device.looked) == pytest.approx(12 * PERIOD_S * CLOCK_HZ, rel=1e-2)
    assert bench.detecting.skipped_slots == 0


def test_a_device_that_is_behind_looks_again_at_once_and_one_that_is_not_waits() -> None:
    bench = Bench()
    bench.device.clock_hz = 1e8
    bench.turn()
    bench.turn()
    bench.turn(after_s=0.44)
    for _ in range(10):
        bench.turn(after_s=0.0)
    assert sum(bench.device.looked) == pytest.approx((PERIOD_S + 0.44) * 1e8, rel=1e-3)
    batches = len(bench.found)
    assert batches == 1 + 5
    bench.turn(after_s=LEAST_DUE_S / 2)
    assert len(bench.found) == batches
    bench.turn(after_s=LEAST_DUE_S)
    assert len(bench.found) == batches + 1


def test_a_stall_is_made_up_for_a_second_only() -> None:
    bench = Bench()
    bench.turn()
    bench.turn()
    bench.turn(after_s=3600.0)
    assert bench.device.looked[-1] == pytest.approx(MAX_BEHIND_S * CLOCK_HZ, rel=1e-3)
    assert bench.detecting.skipped_slots == pytest.approx(3599 * CLOCK_HZ, rel=1e-3)


def test_a_batch_has_so_many_detections_at_most() -> None:
    bench = Bench()
    bench.device.clock_hz = 1e8
    bench.turn()
    bench.turn()
    bench.turn(after_s=1.0)
    assert len(bench.found[-1].result().slots) == pytest.approx(MAX_BATCH_DETECTIONS, rel=0.01)


def test_a_device_that_fails_is_reported() -> None:
    bench = Bench()
    bench.turn()
    bench.device.broken = True
    bench.turn()
    assert isinstance(bench.found[-1].exception(), LinkError)


@pytest.mark.parametrize(
    ("events", "errors", "too_many", "fine"),
    [
        (MIN_EVENTS - 1, MIN_EVENTS - 1, False, False),
        (100, 25, True, False),  # intercept and resend, found as soon as that
        (100, 20, False, False),
        (999, 20, False, False),
        (1000, 20, False, True),
        (2000, 200, False, True),  # over the limit, but by chance perhaps: left to the round
        (2000, 240, True, False),
    ],
)
def test_an_error_rate_over_the_limit_is_told_from_chance(events: int, errors: int, too_many: bool, fine: bool) -> None:
    sample = XSample(events, errors, events, errors)
    assert excessive(sample, 0.08) is too_many
    assert is_fine(sample, 0.08) is fine


def test_the_light_is_gone_when_hardly_any_clicks_are_left_and_back_with_them() -> None:
    level = LightLevel(window_slots=1_000_000, noise_per_slot=1e-6)
    for clicks, dark in [(1000, False)] * 12 + [(500, False)] * 12 + [(8, None)] * 10 + [(8, True)] * 5:
        level.add(100_000, clicks)
        assert not level.only_noise
        if dark is not None:
            assert level.dark is dark
    for _ in range(3):
        level.add(100_000, 1000)
    assert level.dark is False


def test_how_bright_it_was_outlives_a_run_and_a_key_shows_that_less_is_enough() -> None:
    level = LightLevel(window_slots=1_000_000, noise_per_slot=1e-6)
    for _ in range(12):
        level.add(100_000, 1000)
    level.new_run()
    for _ in range(12):
        level.add(100_000, 15)
    assert level.dark
    level.is_enough()
    for _ in range(30):
        level.add(100_000, 15)
        assert not level.dark


@pytest.mark.parametrize("noise_per_slot", [0.0, 1e-8, 1e-6, 1e-3])
def test_dark_counts_are_not_taken_for_light_nor_light_for_dark_counts(noise_per_slot: float) -> None:
    level, random = LightLevel(window_slots=1_000_000, noise_per_slot=noise_per_slot), Random(1)

    def batch(per_slot: float) -> int:
        mean = per_slot * 100_000
        return max(0, round(random.gauss(mean, math.sqrt(mean))))

    def shows_only_noise() -> bool:
        return level.only_noise

    def is_dark() -> bool:
        return level.dark

    for _ in range(300):
        level.add(100_000, batch(noise_per_slot))
        assert shows_only_noise()
    assert is_dark()
    for _ in range(300):
        level.add(100_000, batch(2 * noise_per_slot + 1e-3))
        assert not shows_only_noise()
    assert not is_dark()
    level.add(100_000, 0)
    assert shows_only_noise() or noise_per_slot < 1e-4  # then a single batch without clicks may be chance


def test_the_sifting_rate_is_that_of_the_last_rounds() -> None:
    rate = SiftingRate()
    assert rate.add(0.0, 0) == 0.0
    for tick in range(1, 101):
        measured = rate.add(tick / 10, 7_000 * (tick // 7))
    assert measured == pytest.approx(10_000)
    for tick in range(99, 105):
        assert rate.add(tick / 10, 98_000) == pytest.approx(10_000)  # between two rounds nothing changes
    for tick in range(105, 399):
        measured = rate.add(tick / 10, 98_000)
    assert 0 < measured < 1_500
