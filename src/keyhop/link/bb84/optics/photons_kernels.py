"""Kernels of the photons: what a pulse is, which slots may click, and what the detectors make of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.compiled import compiled

NEXT_CANDIDATE, LIVE_FROM, AFTERPULSE_AT, AFTERPULSE_IN = 0, 1, 2, 3
"""What a line remembers from batch to batch, as int64: two slots, and the afterpulse to come (slot and detector)."""

NEVER = np.int64(1 << 62)
"""A slot that is never reached."""


class Candidates(NamedTuple):
    """Slots that may click, rising, and what the transmitter sent in them."""

    slots: NDArray[np.int64]
    bits: NDArray[np.uint8]
    bases: NDArray[np.uint8]
    intensities: NDArray[np.uint8]

    def __repr__(self) -> str:  # the bits are the key
        return f"<{len(self.slots)} candidates>"


class Detected(NamedTuple):
    """Columns of detections: slot, the receiver's basis, the detector that clicked, whether both did."""

    slots: NDArray[np.int64]
    bases: NDArray[np.uint8]
    bits: NDArray[np.uint8]
    doubles: NDArray[np.bool_]

    def __repr__(self) -> str:  # the bits are the key
        return f"<room for {len(self.slots)} detections>"


class Optics(NamedTuple):
    """What light and detectors do while nothing changes.

    `outcomes[attacked, intensity, bases equal]` are cumulative chances of a click of the right detector alone, of
    the wrong one alone, and of both, given that the slot is a candidate. Shares are of 2^32: `receiver_z` (receiver
    in Z), `afterpulses` (left by a pulse that was not, or was, attacked), `attacked`, and `measured_in_z` (of the
    attacked; -1: not measured). `live_step`: slots from a click to the next live gate.
    """

    outcomes: NDArray[np.float64]
    receiver_z: np.uint64
    afterpulses: NDArray[np.uint64]
    attacked: np.uint64
    measured_in_z: np.int64
    live_step: int


_UNIT = 1.0 / (1 << 53)
_HIGH = np.uint64(32)
_LOW_WORD = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)


@compiled
def cut_states(
    words: NDArray[np.uint32],
    z_threshold: np.uint64,
    intensity_thresholds: NDArray[np.uint64],
    bits: NDArray[np.uint8],
    bases: NDArray[np.uint8],
    intensities: NDArray[np.uint8],
) -> None:
    """Random words (four to a pulse) to states; thresholds are shares of 2^32."""
    first = intensity_thresholds[0]
    second = intensity_thresholds[-1]
    two_decoys = np.uint8(len(intensity_thresholds) - 1)
    for i in range(len(bits)):
        bases[i] = np.uint8(np.uint64(words[i, 0]) >= z_threshold)
        strength = np.uint64(words[i, 1])
        intensities[i] = np.uint8(strength >= first) + two_decoys * np.uint8(strength >= second)
        bits[i] = np.uint8(words[i, 2] & np.uint32(1))


@compiled
def random_word(state: NDArray[np.uint64]) -> np.uint64:
    """The next 64 bits of xoshiro256++ (Blackman and Vigna, 2019); `state` is four words, not all zero."""
    first, second, third, fourth = state[0], state[1], state[2], state[3]
    total = first + fourth
    result: np.uint64 = ((total << np.uint64(23)) | (total >> np.uint64(41))) + first
    third ^= first
    fourth ^= second
    state[0] = first ^ fourth
    state[1] = second ^ third
    state[2] = third ^ (second << np.uint64(17))
    state[3] = (fourth << np.uint64(45)) | (fourth >> np.uint64(19))
    return result


@compiled
def candidate_slots(
    random: NDArray[np.uint64],
    memory: NDArray[np.int64],
    end_slot: int,
    inverse_log: float,
    slots: NDArray[np.int64],
) -> int:
    """Fills `slots` with those before `end_slot` that may click; returns how many.

    Each slot is one with the largest click probability p of any pulse: gaps are geometric, `inverse_log` is
    1 / ln(1 - p). What does not fit comes with the next call.
    """
    slot = memory[NEXT_CANDIDATE]
    count = 0
    while slot < end_slot and count < len(slots):
        slots[count] = slot
        count += 1
        uniform = (np.int64(random_word(random) >> np.uint64(11)) + 0.5) * _UNIT
        gap = np.log(uniform) * inverse_log
        slot = slot + 1 + np.int64(gap) if gap < 1e18 else NEVER
    memory[NEXT_CANDIDATE] = slot
    return count


@compiled
def arriving_state(
    random: NDArray[np.uint64], bit: np.uint8, basis: np.uint8, attacked_share: np.uint64, measured_in_z: np.int64
) -> tuple[np.int64, np.uint8, np.uint8]:
    """Whether a pulse is attacked, and its bit and basis behind an eavesdropper who measures if `measured_in_z` >= 0.

    Both shares are of 2^32; what she measures in the wrong basis, she finds at random.
    """
    word = random_word(random)
    if (word & _LOW_WORD) >= attacked_share:
        return np.int64(0), bit, basis
    if measured_in_z >= 0:
        found_basis = np.uint8(np.int64(word >> _HIGH) >= measured_in_z)
        if found_basis != basis:
            bit = np.uint8(random_word(random) >> np.uint64(63))
        basis = found_basis
    return np.int64(1), bit, basis


@compiled
def clicking_detectors(random: NDArray[np.uint64], chances: NDArray[np.float64], bit: np.uint8) -> tuple[bool, bool]:
    """Which detectors click, that of 0 and that of 1: `chances` as in Optics, and the bit that arrives."""
    uniform = np.int64(random_word(random) >> np.uint64(11)) * _UNIT
    if uniform >= chances[2]:
        return False, False
    if uniform >= chances[1]:
        return True, True
    one = (uniform < chances[0]) == (bit == 1)
    return not one, one


@compiled
def click(
    random: NDArray[np.uint64],
    candidates: Candidates,
    optics: Optics,
    memory: NDArray[np.int64],
    end_slot: int,
    shown: Detected,
) -> int:
    """What the detectors show up to `end_slot`; returns how many detections were written.

    `shown` has room for all candidates and their afterpulses.
    """
    live_from, afterpulse_at, afterpulse_in = memory[LIVE_FROM], memory[AFTERPULSE_AT], memory[AFTERPULSE_IN]
    count = 0
    index = 0
    while index < len(candidates.slots) or afterpulse_at < end_slot:
        left = len(candidates.slots) - index
        slot = candidates.slots[index] if left > 0 else np.int64(end_slot)
        again = afterpulse_at <= slot
        zeros = ones = False
        under_attack = np.int64(0)
        choices = random_word(random)
        basis = np.uint8((choices & _LOW_WORD) >= optics.receiver_z)
        if afterpulse_at < slot:  # not a candidate: nothing but the afterpulse clicks
            slot = afterpulse_at
        else:
            bit, sent_basis = candidates.bits[index], candidates.bases[index]
            intensity = candidates.intensities[index]
            index += 1
            if slot < live_from:
                continue
            if optics.attacked > 0:
                under_attack, bit, sent_basis = arriving_state(
                    random, bit, sent_basis, optics.attacked, optics.measured_in_z
                )
            chances = optics.outcomes[under_attack, intensity, np.int64(sent_basis == basis)]
            zeros, ones = clicking_detectors(random, chances, bit)
        if again:
            zeros, ones = zeros or afterpulse_in == 0, ones or afterpulse_in == 1
            afterpulse_at = NEVER
        if not (zeros or ones):
            continue
        double = zeros and ones
        shown.slots[count], shown.bases[count], shown.doubles[count] = slot, basis, double
        shown.bits[count] = np.uint8(random_word(random) >> np.uint64(63)) if double else np.uint8(ones)
        count += 1
        live_from = slot + optics.live_step
        # That afterpulses fill the spare room does not happen; if it did, one would be missing.
        if (choices >> _HIGH) < optics.afterpulses[under_attack] and count + left < len(shown.slots):
            afterpulse_at, afterpulse_in = live_from, np.int64(shown.bits[count - 1])
    memory[LIVE_FROM], memory[AFTERPULSE_AT], memory[AFTERPULSE_IN] = live_from, afterpulse_at, afterpulse_in
    return count


def warm_up() -> None:
    """Compiles every kernel of this file, or loads what was compiled before."""
    random = np.arange(1, 5, dtype=np.uint64)
    memory = np.array([0, 0, NEVER, 0], np.int64)
    slots, first, second, third = (
        np.zeros(4, np.int64),
        np.zeros(4, np.uint8),
        np.zeros(4, np.uint8),
        np.zeros(4, np.uint8),
    )
    none, shares = np.uint64(0), np.zeros(2, np.uint64)
    cut_states(np.zeros((4, 4), np.uint32), none, shares[:1], first, second, third)
    candidate_slots(random, memory, 1, -1.0, slots)
    optics = Optics(np.ones((2, 1, 2, 3)), none, shares, none, np.int64(-1), 1)
    shown = Detected(np.zeros(4, np.int64), first, second, np.zeros(4, np.bool_))
    click(random, Candidates(slots[:1], first[:1], second[:1], third[:1]), optics, memory, 2, shown)
    random_word(random)
