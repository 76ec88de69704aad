"""What the two ends tell each other when they sift, as bytes.

Announcement, from the receiver: number of detections (4 bytes, little-endian as all), slot of the first (8), the gaps
to the others (see `sifting_kernels`), the bases packed, the receiver's bits of the detections in X packed.

Answer, from the transmitter: number of detections (4), whether each was sent in the basis that it was measured in,
packed; then for these alone the low bits of the intensities packed, with three intensities their high bits packed, and
the transmitter's bits in X packed.

Packed is bit i in byte i // 8 at position i % 8; unused bits of the last byte are zero. Every message can be written
in one way only. Nothing of a message is used before all of it is checked.
"""

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from keyhop.core.errors import LinkError, PeerError
from keyhop.link.bb84.sifting.sifting_kernels import (
    LONGEST_GAP_BYTES,
    MALFORMED,
    NOT_RISING,
    SLOT_LIMIT,
    decode_gaps,
    encode_gaps,
)

MAX_DETECTIONS = 1 << 18
MAX_ANNOUNCEMENT_BYTES = 900 << 10
"""So that an announcement fits into a message; an answer is always shorter than MAX_DETECTIONS / 2 bytes and a few."""

_ANNOUNCEMENT = struct.Struct("<IQ")
_ANSWER = struct.Struct("<I")
_MAX_GAP_BYTES = MAX_ANNOUNCEMENT_BYTES - _ANNOUNCEMENT.size - 2 * (MAX_DETECTIONS // 8 + 1)


@dataclass(frozen=True, slots=True)
class Announcement:
    """Detections as the transmitter learns of them: `slots` int64 rising; `bases`; `x_bits`, one per detection in X."""

    slots: NDArray[np.int64]
    bases: NDArray[np.uint8]
    x_bits: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Answer:
    """`matching` has an element per detection, `intensities` one per match, `x_bits` one per match in X."""

    matching: NDArray[np.uint8]
    intensities: NDArray[np.uint8] = field(repr=False)
    x_bits: NDArray[np.uint8] = field(repr=False)


def encode_announcement(
    slots: NDArray[np.int64], bases: NDArray[np.uint8], bits: NDArray[np.uint8], next_slot: int
) -> tuple[int, bytes]:
    """As many of the detections, at least one, as an announcement holds: how many, and the announcement.

    Raises LinkError when the slots do not rise from `next_slot`, or reach SLOT_LIMIT: then the device is broken.
    """
    slots = slots[:MAX_DETECTIONS]
    gaps = np.empty(min(_MAX_GAP_BYTES, LONGEST_GAP_BYTES * len(slots)), np.uint8)
    count, used = encode_gaps(slots, gaps)
    if count == NOT_RISING or slots[0] < next_slot or slots[count - 1] >= SLOT_LIMIT:
        raise LinkError("the receiver's device reports detections that are out of order")
    head = _ANNOUNCEMENT.pack(count, int(slots[0]))
    bases, bits = bases[:count], bits[:count]
    return count, b"".join((head, gaps[:used].data, _packed(bases), _packed(bits[bases == 1])))


def decode_announcement(payload: bytes, next_slot: int) -> Announcement:
    """Raises PeerError when it is malformed or has slots before `next_slot`."""
    if not _ANNOUNCEMENT.size < len(payload) <= MAX_ANNOUNCEMENT_BYTES:
        raise PeerError(f"an announcement of detections of {len(payload)} bytes")
    count, first = _ANNOUNCEMENT.unpack_from(payload)
    if not 1 <= count <= MAX_DETECTIONS or not next_slot <= first < SLOT_LIMIT:
        raise PeerError(f"an announcement of {count} detections from slot {first}")
    slots = np.empty(count, np.int64)
    slots[0] = first
    data = np.frombuffer(payload, np.uint8, offset=_ANNOUNCEMENT.size)
    used = decode_gaps(data, slots)
    if used == MALFORMED:
        raise PeerError("the slots of detections are malformed")
    fields = _PackedFields(data[used:])
    bases = fields.take(count)
    x_bits = fields.take(int(np.count_nonzero(bases)))
    fields.end()
    return Announcement(slots, bases, x_bits)


def encode_answer(answer: Answer, intensities: int) -> bytes:
    """`intensities` is how many there are, 2 or 3."""
    planes = [_packed(answer.intensities >> np.uint8(plane) & np.uint8(1)) for plane in range(intensities - 1)]
    return b"".join((_ANSWER.pack(len(answer.matching)), _packed(answer.matching), *planes, _packed(answer.x_bits)))


def decode_answer(payload: bytes, bases: NDArray[np.uint8], intensities: int) -> Answer:
    """The answer to the announcement with these bases. Raises PeerError when it is malformed, or to another one."""
    if len(payload) < _ANSWER.size or _ANSWER.unpack_from(payload)[0] != len(bases):
        raise PeerError(f"an answer of {len(payload)} bytes is not to the {len(bases)} detections announced")
    fields = _PackedFields(np.frombuffer(payload, np.uint8, offset=_ANSWER.size))
    matching = fields.take(len(bases))
    matches = int(np.count_nonzero(matching))
    kept = fields.take(matches)
    if intensities == 3:
        kept |= fields.take(matches) << np.uint8(1)
        if np.any(kept == 3):
            raise PeerError("an intensity that is not configured")
    x_bits = fields.take(int(np.count_nonzero(matching & bases)))
    fields.end()
    return Answer(matching, kept, x_bits)


def _packed(bits: NDArray[np.uint8]) -> memoryview:
    return np.packbits(bits, bitorder="little").data


class _PackedFields:
    """Packed arrays of bits, one after the other."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data = data

    def take(self, count: int) -> NDArray[np.uint8]:
        """The next `count` bits. Raises PeerError when they are not there, or bits after them are not zero."""
        size = -(-count // 8)
        if len(self._data) < size:
            raise PeerError("a sifting message is too short")
        field, self._data = self._data[:size], self._data[size:]
        if count % 8 and field[-1] >> (count % 8):
            raise PeerError("unused bits of a sifting message are set")
        return np.unpackbits(field, count=count, bitorder="little")

    def end(self) -> None:
        """Raises PeerError when something is left."""
        if len(self._data):
            raise PeerError(f"{len(self._data)} bytes too many in a sifting message")
