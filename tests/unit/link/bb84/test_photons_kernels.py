"""The kernels by themselves: random words, gaps, and what clicks."""

import math
from typing import Any, cast

import numpy as np
import pytest

from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import Disturbance, Eavesdropper
from keyhop.link.bb84.optics.line import SimulatedLine
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions
from keyhop.link.bb84.optics.photons_kernels import (
    NEVER,
    NEXT_CANDIDATE,
    arriving_state,
    candidate_slots,
    click,
    clicking_detectors,
    cut_states,
    random_word,
    warm_up,
)
from keyhop.link.bb84.optics.pulses import PulseSource

SIGMAS = 4.5


def _random(seed: int = 1) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.random.default_rng(seed).integers(0, 1 << 63, 4, np.uint64)


def test_random_words_are_those_of_xoshiro256_plus_plus() -> None:
    # The vector of rand_xoshiro (Rust), made with the reference implementation from the state 1, 2, 3, 4.
    state = np.array([1, 2, 3, 4], np.uint64)
    expected = [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205, 9973669472204895162]
    assert [int(random_word(state)) for _ in expected] == expected


@pytest.mark.parametrize("probability", [1e-5, 0.01, 0.3])
def test_every_slot_is_a_candidate_with_the_same_chance(probability: float) -> None:
    memory, slots = np.array([0, 0, NEVER, 0], np.int64), np.empty(400_000, np.int64)
    random = _random()
    assert candidate_slots(random, memory, int(NEVER), 1 / math.log1p(-probability), slots) == len(slots)
    gaps = np.diff(slots)
    assert gaps.min() == 1
    for at_least in (2, 5, round(1 / probability), round(3 / probability)):  # a geometric distribution's tail
        share = (1 - probability) ** (at_least - 1)
        assert abs((gaps >= at_least).mean() - share) < SIGMAS * math.sqrt(share * (1 - share) / len(gaps)) + 1e-12
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < SIGMAS / math.sqrt(len(gaps))


def test_certain_clicks_are_in_every_slot_and_impossible_ones_in_none() -> None:
    memory, slots = np.array([5, 0, NEVER, 0], np.int64), np.empty(100, np.int64)
    assert candidate_slots(_random(), memory, 50, 0.0, slots) == 45
    assert slots[:45].tolist() == list(range(5, 50))
    assert candidate_slots(_random(), memory, 60, -math.inf, slots) == 1
    assert memory[NEXT_CANDIDATE] == NEVER


def test_detectors_click_as_often_as_their_chances_say() -> None:
    random, chances, trials = _random(), np.array([0.5, 0.6, 0.75]), 20_000
    for bit, only_zero, only_one in ((0, 0.5, 0.1), (1, 0.1, 0.5)):
        clicks = [clicking_detectors(random, chances, np.uint8(bit)) for _ in range(trials)]
        wanted = {(True, False): only_zero, (False, True): only_one, (True, True): 0.15, (False, False): 0.25}
        for outcome, share in wanted.items():
            assert abs(clicks.count(outcome) / trials - share) < SIGMAS * math.sqrt(share * (1 - share) / trials)


def _arrivals(attacked: int, measured_in_z: int) -> set[tuple[int, ...]]:
    """Whether it was attacked, bit and basis that arrive of a 1 in Z; shares are of 2^32."""
    random, bit, basis = _random(), np.uint8(1), np.uint8(0)
    return {
        tuple(int(part) for part in arriving_state(random, bit, basis, np.uint64(attacked), np.int64(measured_in_z)))
        for _ in range(100)
    }


def test_who_measures_in_the_right_basis_changes_nothing() -> None:
    everything, not_at_all = 1 << 32, -1
    assert _arrivals(everything, measured_in_z=everything) == {(1, 1, 0)}
    assert _arrivals(everything, measured_in_z=0) == {(1, 0, 1), (1, 1, 1)}
    assert _arrivals(everything, measured_in_z=everything // 2) == {(1, 1, 0), (1, 0, 1), (1, 1, 1)}
    assert _arrivals(everything, measured_in_z=not_at_all) == {(1, 1, 0)}
    assert _arrivals(0, measured_in_z=0) == {(0, 1, 0)}


def test_warming_up_compiles_what_a_line_uses_and_a_line_nothing_else() -> None:
    warm_up()
    source = SourceOptions()
    pulses = PulseSource(source, KeyMaterial(bytes(32)), b"run")
    line = SimulatedLine(
        source, ChannelOptions(loss_db=0), DetectorOptions(afterpulse_probability=0.1), pulses, b"seed"
    )
    line.disturb(Disturbance(eavesdropper=Eavesdropper("blinding", fraction=0.5)))
    line.detect(1000)
    for kernel in (cut_states, candidate_slots, click, random_word):
        assert len(cast("Any", kernel).signatures) == 1
