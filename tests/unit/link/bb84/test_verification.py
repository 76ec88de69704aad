import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhop.core.errors import PeerError
from keyhop.link.bb84.authentication.verification import (
    DIGEST_BITS,
    DIGEST_BYTES,
    KEY_BYTES,
    agrees,
    differing_frames,
    digest,
    failure_probability,
    frame_digests,
)

KEY = bytes(range(1, KEY_BYTES + 1))


def polynomial(packed: bytes, key: bytes) -> bytes:
    """The hash as Bernstein (2005) defines it, in integers: powers of r times 17-byte coefficients."""
    r = int.from_bytes(key, "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    pieces = [packed[i : i + 16] + b"\1" for i in range(0, len(packed), 16)]
    value = 0
    for i, piece in enumerate(pieces):
        value += int.from_bytes(piece, "little") * int(pow(r, len(pieces) - i))
    return (value % (2**130 - 5) % 2**128).to_bytes(16, "little")


@given(packed=st.binary(max_size=100), key=st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))
def test_it_is_the_polynomial(packed: bytes, key: bytes) -> None:
    assert digest(packed, key) == polynomial(packed, key)
    assert agrees(packed, key, polynomial(packed, key))


def test_a_known_digest() -> None:
    # origin: RFC 8439, A.3 #7: r = 2, s = 0
    assert digest(b"\xff" * 16, b"\2" + bytes(15)) == b"\3" + bytes(15)


@given(packed=st.binary(min_size=1, max_size=100), data=st.data())
def test_one_flipped_bit_is_found(packed: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, 8 * len(packed) - 1))
    other = bytearray(packed)
    other[at // 8] ^= 1 << at % 8
    assert not agrees(bytes(other), KEY, digest(packed, KEY))


def test_bits_of_any_buffer() -> None:
    bits = np.random.default_rng(1).integers(0, 2, 1000, dtype=np.uint8)
    packed = np.packbits(bits, bitorder="little")
    assert digest(packed, KEY) == digest(packed.tobytes(), KEY) == frame_digests(bits, [1000], KEY)


@settings(deadline=None)
@given(
    frames=st.lists(st.integers(1, 300), max_size=12),
    seed=st.integers(0, 1 << 32),
    data=st.data(),
)
def test_the_frames_that_differ_are_found_and_no_others(frames: list[int], seed: int, data: st.DataObject) -> None:
    ours = np.random.default_rng(seed).integers(0, 2, sum(frames), dtype=np.uint8)
    theirs = ours.copy()
    wrong = sorted(data.draw(st.sets(st.sampled_from(range(len(frames))))) if frames else set())
    for frame in wrong:
        start = sum(frames[:frame])
        theirs[start + data.draw(st.integers(0, frames[frame] - 1))] ^= 1
    digests = frame_digests(theirs, frames, KEY)
    assert len(digests) == DIGEST_BYTES * len(frames)
    assert differing_frames(ours, frames, KEY, digests) == tuple(wrong)


@pytest.mark.parametrize("size", [0, KEY_BYTES - 1, KEY_BYTES + 1, 32])
def test_a_key_of_the_wrong_size_is_the_far_ends_fault(size: int) -> None:
    with pytest.raises(PeerError, match="verification key"):
        digest(b"bits", bytes(size))


@pytest.mark.parametrize("size", [0, DIGEST_BYTES - 1, DIGEST_BYTES + 1])
def test_digests_of_the_wrong_size_are_the_far_ends_fault(size: int) -> None:
    with pytest.raises(PeerError, match="verification digest"):
        agrees(b"bits", KEY, bytes(size))
    with pytest.raises(PeerError, match="digests of 1 frames"):
        differing_frames(np.zeros(8, np.uint8), [8], KEY, bytes(size))


@pytest.mark.parametrize("frames", [[], [7], [9], [8, 0], [9, -1]])
def test_frames_that_do_not_make_up_the_bits_are_refused(frames: list[int]) -> None:
    with pytest.raises(ValueError, match="do not make up 8 bits"):
        frame_digests(np.zeros(8, np.uint8), frames, KEY)


def test_what_it_promises() -> None:
    assert DIGEST_BITS == 128
    assert failure_probability(128) == 8 / 2**106
    assert failure_probability(129) == 16 / 2**106
    assert 1.8e-26 < failure_probability(24_000_000) < 1.9e-26
