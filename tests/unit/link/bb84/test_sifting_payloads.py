"""Sifting messages as bytes: vectors written by hand from the format, and messages of a hostile far end."""

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keyhop.core.errors import PeerError
from keyhop.link.bb84.sifting.payloads import (
    MAX_ANNOUNCEMENT_BYTES,
    MAX_DETECTIONS,
    Answer,
    decode_announcement,
    decode_answer,
    encode_announcement,
    encode_answer,
)
from keyhop.link.bb84.sifting.sifting_kernels import MALFORMED, decode_gaps

SLOTS = [5, 6, 254, 503, 759, 760 + 248 + 0x1234]
GAPS = "00 f7 f800 f807 f93412"  # gaps of 1; 248; 249, the first that is long; 256; 249 + 0x1234
BASES = [1, 0, 1, 0, 0, 1]  # packed: 0b100101
BITS = [1, 1, 0, 1, 0, 1]  # those in X: 1, 0, 1; packed: 0b101
ANNOUNCEMENT = bytes.fromhex("06000000 0500000000000000" + GAPS + "25 05")

MATCHING = [1, 1, 0, 1, 0, 1]  # packed: 0b101011
INTENSITIES = [0, 1, 2, 1]  # low bits 0, 1, 0, 1: 0b1010; high bits 0, 0, 1, 0: 0b0100
X_BITS = [1, 0]  # packed: 0b01
ANSWER = bytes.fromhex("06000000 2b 0a 04 01")


def bits(values: list[int]) -> NDArray[np.uint8]:
    return np.array(values, np.uint8)


def announce(slots: NDArray[np.int64], bases: NDArray[np.uint8], x_bits: NDArray[np.uint8]) -> bytes:
    every = np.zeros_like(bases)
    every[bases == 1] = x_bits
    count, payload = encode_announcement(slots, bases, every, 0)
    assert count == len(slots)
    return payload


def test_an_announcement_byte_by_byte() -> None:
    assert encode_announcement(np.array(SLOTS), bits(BASES), bits(BITS), 5) == (6, ANNOUNCEMENT)
    read = decode_announcement(ANNOUNCEMENT, 5)
    assert (read.slots.tolist(), read.bases.tolist(), read.x_bits.tolist()) == (SLOTS, BASES, [1, 0, 1])


def test_an_answer_byte_by_byte() -> None:
    answer = Answer(bits(MATCHING), bits(INTENSITIES), bits(X_BITS))
    assert encode_answer(answer, 3) == ANSWER
    read = decode_answer(ANSWER, bits(BASES), 3)
    assert read.matching.tolist() == MATCHING
    assert read.intensities.tolist() == INTENSITIES
    assert read.x_bits.tolist() == X_BITS
    one_decoy = Answer(bits(MATCHING), bits([0, 1, 0, 1]), bits(X_BITS))
    assert encode_answer(one_decoy, 2) == bytes.fromhex("06000000 2b 0a 01")


def head(count: int, first: int) -> bytes:
    return count.to_bytes(4, "little") + first.to_bytes(8, "little")


LAST_SLOT = (1 << 62) - 1
HOSTILE_ANNOUNCEMENTS = {
    "nothing": b"",
    "no head": ANNOUNCEMENT[:11],
    "only a head": ANNOUNCEMENT[:12],
    "no detections": head(0, 5) + bytes(2),
    "more than there are": b"\x07" + ANNOUNCEMENT[1:],
    "fewer than there are": b"\x05" + ANNOUNCEMENT[1:],
    "more than allowed": head(MAX_DETECTIONS + 1, 5) + bytes(MAX_DETECTIONS + MAX_DETECTIONS // 8 + 1),
    "more than memory": head(0xFFFFFFFF, 5) + bytes(100),
    "longer than allowed": ANNOUNCEMENT + bytes(MAX_ANNOUNCEMENT_BYTES),
    "announced before": head(1, 4) + b"\x00",
    "a slot too high": head(1, LAST_SLOT + 1) + b"\x00",
    "a negative slot": head(1, (1 << 64) - 1) + b"\x00",
    "gap to a slot too high": head(2, LAST_SLOT) + b"\x00\x00",
    "gap that overflows": head(2, LAST_SLOT) + b"\xff" + b"\xff" * 8 + b"\x00",
    "gap over bounds": head(2, 5) + b"\xff" + bytes(7) + b"\x40" + b"\x00",
    "gap to the bound": head(2, 5) + b"\xff" + b"\xff" * 7 + b"\x3f" + b"\x00",
    "gap with a byte too many": head(2, 5) + b"\xf9\x01\x00" + b"\x00",
    "gap that is cut off": head(2, 5) + b"\xff\x01\x01",
    "unused bits of the bases": ANNOUNCEMENT[:-2] + b"\x65\x05",
    "unused bits of the bits": ANNOUNCEMENT[:-1] + b"\x0d",
    "no bits in X": ANNOUNCEMENT[:-1],
    "bytes after the end": ANNOUNCEMENT + b"\x00",
}


@pytest.mark.parametrize("payload", HOSTILE_ANNOUNCEMENTS.values(), ids=HOSTILE_ANNOUNCEMENTS.keys())
def test_hostile_announcements(payload: bytes) -> None:
    with pytest.raises(PeerError):
        decode_announcement(payload, 5)


def test_the_last_slot_there_is() -> None:
    for slots in ([LAST_SLOT], [0, LAST_SLOT], [LAST_SLOT - 249, LAST_SLOT]):
        nothing = bits([0] * len(slots))
        payload = announce(np.array(slots), nothing, bits([]))
        assert decode_announcement(payload, 0).slots.tolist() == slots


HOSTILE_ANSWERS = {
    "nothing": b"",
    "no head": ANSWER[:3],
    "only a head": ANSWER[:4],
    "another announcement's": b"\x05" + ANSWER[1:],
    "unused bits of the matches": bytes.fromhex("06000000 6b 0a 04 01"),
    "unused bits of the low bits": bytes.fromhex("06000000 2b 1a 04 01"),
    "unused bits of the high bits": bytes.fromhex("06000000 2b 0a 14 01"),
    "unused bits of the bits in X": bytes.fromhex("06000000 2b 0a 04 05"),
    "an intensity that is not there": bytes.fromhex("06000000 2b 0a 06 01"),
    "no bits in X": ANSWER[:-1],
    "bytes after the end": ANSWER + b"\x00",
    "one of a source with two intensities": bytes.fromhex("06000000 2b 0a 01"),
}


@pytest.mark.parametrize("payload", HOSTILE_ANSWERS.values(), ids=HOSTILE_ANSWERS.keys())
def test_hostile_answers(payload: bytes) -> None:
    with pytest.raises(PeerError):
        decode_answer(payload, bits(BASES), 3)


@st.composite
def altered(draw: st.DrawFn, message: bytes) -> bytes:
    """The message with some bytes changed, taken out or put in."""
    data = bytearray(message)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        taken = draw(st.integers(0, 3))
        data[start : start + taken] = draw(st.binary(max_size=3))
    return bytes(data)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(payload=altered(ANNOUNCEMENT) | st.binary(max_size=60).map(lambda tail: head(len(tail) // 2, 5) + tail))
def test_an_announcement_is_refused_or_means_exactly_its_bytes(payload: bytes) -> None:
    try:
        read = decode_announcement(payload, 5)
    except PeerError:
        return
    assert 5 <= read.slots[0] <= read.slots[-1] <= LAST_SLOT
    assert bool(np.all(np.diff(read.slots) > 0))
    assert announce(read.slots, read.bases, read.x_bits) == payload


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(payload=altered(ANSWER), bases=st.lists(st.integers(0, 1), min_size=6, max_size=6))
def test_an_answer_is_refused_or_means_exactly_its_bytes(payload: bytes, bases: list[int]) -> None:
    try:
        read = decode_answer(payload, bits(bases), 3)
    except PeerError:
        return
    assert len(read.intensities) == np.count_nonzero(read.matching)
    assert len(read.x_bits) == np.count_nonzero(read.matching & bits(bases))
    assert not len(read.intensities) or read.intensities.max() <= 2
    assert encode_answer(read, 3) == payload


@settings(max_examples=800, deadline=None, derandomize=True)
@given(
    data=st.lists(st.integers(0, 255) | st.sampled_from([0, 248, 255]), max_size=40).map(bytes),
    first=st.sampled_from([0, LAST_SLOT - 600]),
    count=st.integers(1, 12),
)
def test_no_gap_is_read_from_beyond_the_message(data: bytes, first: int, count: int) -> None:
    """Compiled code does not say where it reads: what Python says of the same function, bounds checked, holds."""
    interpreted = cast(
        "Callable[[NDArray[np.uint8], NDArray[np.int64]], int]",
        decode_gaps.py_func,  # type: ignore[attr-defined]
    )
    both = []
    for decode in (decode_gaps, interpreted):
        slots = np.full(count, first, np.int64)
        used = decode(np.frombuffer(data, np.uint8), slots)
        both.append((used, None if used == MALFORMED else slots.tolist()))
    assert both[0] == both[1]
