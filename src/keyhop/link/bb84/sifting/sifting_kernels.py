"""The loops of sifting, compiled: gaps between slots as bytes, matching bases, and counting until a round is full.

A gap is the distance between two detections' slots, at least 1. Gaps up to SHORT_GAPS are one byte, `gap - 1`. Longer
ones are a byte SHORT_GAPS - 1 + n, then `gap - 1 - SHORT_GAPS` in n bytes, 1 to 8, the lowest first and no more of
them than it takes: so there is one way to write a gap.
"""

import numpy as np
from numpy.typing import NDArray

from keyhop.link.bb84.compiled import compiled

type Bytes = NDArray[np.uint8]

SHORT_GAPS = 248
LONGEST_GAP_BYTES = 9
SLOT_LIMIT = 1 << 62
"""Slots are below: at 100 GHz a run of 500 days; sums of two do not overflow."""

NOT_RISING = -1
MALFORMED = -1

EVENTS = 4
"""Row of a tally: here begin the counts of events per intensity."""
TALLY_ROWS = EVENTS + 3
TALLY_COLUMNS = 4


@compiled
def encode_gaps(slots: NDArray[np.int64], out: Bytes) -> tuple[int, int]:
    """Writes the gaps after the first slot, while LONGEST_GAP_BYTES are free. Slots covered, and bytes written.

    NOT_RISING in place of the slots where two slots do not rise, or are SLOT_LIMIT apart.
    """
    used = 0
    for i in range(1, len(slots)):
        if used + LONGEST_GAP_BYTES > len(out):
            return i, used
        gap = slots[i] - slots[i - 1]
        if gap < 1 or gap >= SLOT_LIMIT:
            return NOT_RISING, used
        if gap <= SHORT_GAPS:
            out[used] = gap - 1
            used += 1
        else:
            rest = gap - 1 - SHORT_GAPS
            length = 0
            while True:
                length += 1
                out[used + length] = rest & 0xFF
                rest >>= 8
                if rest == 0:
                    break
            out[used] = SHORT_GAPS - 1 + length
            used += 1 + length
    return len(slots), used


@compiled
def decode_gaps(data: Bytes, slots: NDArray[np.int64]) -> int:
    """Fills in the slots after the first, which is there and below SLOT_LIMIT. Bytes read, or MALFORMED.

    Malformed: `data` ends too early, a gap has more bytes than it takes, or a slot is not below SLOT_LIMIT.
    """
    used = 0
    for i in range(1, len(slots)):
        if used >= len(data):
            return MALFORMED
        code = int(data[used])
        used += 1
        if code >= SHORT_GAPS:
            length = code - (SHORT_GAPS - 1)
            if used + length > len(data):
                return MALFORMED
            last = int(data[used + length - 1])
            if (length > 1 and last == 0) or (length == 8 and last >= 0x40):
                return MALFORMED
            code = SHORT_GAPS
            for position in range(length):
                code += int(data[used + position]) << (8 * position)
            used += length
        slot = slots[i - 1] + code + 1
        if slot >= SLOT_LIMIT:
            return MALFORMED
        slots[i] = slot
    return used


@compiled
def match_at_transmitter(
    receiver_bases: Bytes,
    receiver_x_bits: Bytes,
    bases: Bytes,
    bits: Bytes,
    intensities: Bytes,
    matching: Bytes,
    x_errors: Bytes,
    kept_intensities: Bytes,
    kept_x_bits: Bytes,
) -> tuple[int, int]:
    """Fills the last four; returns how many of the two `kept` ones are filled. All inputs have one element per
    detection but `receiver_x_bits`, one per detection in X."""
    kept, kept_x, x = 0, 0, 0
    for i in range(len(receiver_bases)):
        basis = receiver_bases[i]
        match = int(basis == bases[i])
        matching[i] = match
        kept_intensities[kept] = intensities[i]
        kept += match
        x_errors[i] = 0
        if basis == 1:
            x_errors[i] = (receiver_x_bits[x] ^ bits[i]) & match
            x += 1
            kept_x_bits[kept_x] = bits[i]
            kept_x += match
    return kept, kept_x


@compiled
def match_at_receiver(
    bases: Bytes,
    bits: Bytes,
    matching: Bytes,
    kept_intensities: Bytes,
    kept_x_bits: Bytes,
    intensities: Bytes,
    x_errors: Bytes,
) -> None:
    """Fills the last two, with one element per detection, from one intensity per match and one bit per match in X."""
    kept, kept_x = 0, 0
    for i in range(len(bases)):
        intensities[i] = 0
        x_errors[i] = 0
        if matching[i] == 1:
            intensities[i] = kept_intensities[kept]
            kept += 1
            if bases[i] == 1:
                x_errors[i] = kept_x_bits[kept_x] ^ bits[i]
                kept_x += 1


@compiled
def collect(
    start: int,
    bases: Bytes,
    matching: Bytes,
    intensities: Bytes,
    bits: Bytes,
    x_errors: Bytes,
    doubles: Bytes,
    key_bits: Bytes,
    key_intensities: Bytes,
    filled: int,
    tally: NDArray[np.int64],
) -> tuple[int, int]:
    """Takes detections from number `start` on into a round until it has as many key bits as there is room for.

    `tally` (TALLY_ROWS, TALLY_COLUMNS) is added to: row `2 basis + matching` counts detections (column 0) and doubles
    (1); row EVENTS counts Z events per intensity, EVENTS + 1 X events, EVENTS + 2 wrong X events. Returns how many
    detections were taken and how many key bits there are now.
    """
    for i in range(start, len(bases)):
        basis, match = int(bases[i] & 1), int(matching[i] & 1)
        tally[2 * basis + match, 0] += 1
        tally[2 * basis + match, 1] += doubles[i]
        if match == 1:
            intensity = int(intensities[i] & 3)
            tally[EVENTS + basis, intensity] += 1
            if basis == 1:
                tally[EVENTS + 2, intensity] += x_errors[i]
            else:
                key_bits[filled] = bits[i]
                key_intensities[filled] = intensity
                filled += 1
                if filled == len(key_bits):
                    return i + 1, filled
    return len(bases), filled


def warm_up() -> None:
    """Compiles all of them."""
    slots, few, more = np.arange(2, dtype=np.int64), np.zeros(2, np.uint8), np.zeros(16, np.uint8)
    encode_gaps(slots, more)
    decode_gaps(np.frombuffer(bytes(16), np.uint8), slots)
    match_at_transmitter(few, few, few, few, few, more, more, more, more)
    match_at_receiver(few, few, few, few, few, more, more)
    collect(0, few, few, few, few, few, few, more, more, 0, np.zeros((TALLY_ROWS, TALLY_COLUMNS), np.int64))
