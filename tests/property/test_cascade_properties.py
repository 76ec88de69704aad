"""Cascade with any errors that a link may have, and against a side that says anything."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhop.core.errors import PeerError
from keyhop.link.bb84.reconciliation.cascade import Cascade

SIZES = st.one_of(st.integers(1_000, 5_000), st.integers(60_000, 140_000))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    size=SIZES,
    error_rate=st.floats(0, 0.12),
    estimate=st.floats(0, 0.2),
    bursts=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 50)), max_size=3),
    draw=st.integers(0, 2**32 - 1),
    seed=st.binary(max_size=40),
)
def test_both_sides_finish_alike(
    size: int, error_rate: float, estimate: float, bursts: list[tuple[float, int]], draw: int, seed: bytes
) -> None:
    rng = np.random.default_rng(draw)
    reference = rng.integers(0, 2, size, np.uint8)
    errors = (rng.random(size) < error_rate).astype(np.uint8)
    for place, length in bursts:
        errors[int(place * size) :][:length] = 1
    alice, bob = (
        Cascade("reference", reference, estimate, seed),
        Cascade("correcting", reference ^ errors, estimate, seed),
    )
    from_alice, from_bob = alice.start(), bob.start()
    while from_alice:
        assert len(from_alice[0]) == len(from_bob[0])
        from_alice, from_bob = alice.received(from_bob[0]), bob.received(from_alice[0])
    assert alice.done
    assert bob.done
    assert not from_bob
    assert alice.disclosed_bits == bob.disclosed_bits
    assert np.array_equal(alice.error_positions, bob.error_positions)
    corrected = (reference ^ errors).copy()
    corrected[bob.error_positions] ^= 1
    assert np.array_equal(bob.bits, corrected)
    missed = np.count_nonzero(bob.bits != reference)
    assert missed <= 8, "a frame may fail, but then by few errors, an even number in every block"
    assert missed % 2 == 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(size=SIZES, estimate=st.floats(0.01, 0.12), data=st.data())
def test_a_side_that_says_anything_ends_it_or_is_refused(size: int, estimate: float, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    ones = data.draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
    honest = Cascade("correcting", rng.integers(0, 2, size, np.uint8), estimate, b"seed")
    own = honest.start()
    try:
        while own:
            count = int.from_bytes(own[0][4:8], "little")
            lie = np.packbits(rng.random(count) < ones, bitorder="little").tobytes()
            own = honest.received(own[0][:8] + lie)
    except PeerError:
        return
    assert honest.done
    assert honest.bits.size == size


@settings(max_examples=40, deadline=None, derandomize=True)
@given(flip=st.floats(0, 1, exclude_max=True), wave=st.integers(0, 60), draw=st.integers(0, 2**32 - 1))
def test_one_altered_bit_parts_the_sides_or_is_refused(flip: float, wave: int, draw: int) -> None:
    rng = np.random.default_rng(draw)
    reference = rng.integers(0, 2, 5_000, np.uint8)
    noisy = np.bitwise_xor(reference, (rng.random(5_000) < 0.03).astype(np.uint8))
    alice, bob = Cascade("reference", reference, 0.03, b""), Cascade("correcting", noisy, 0.03, b"")
    from_alice, from_bob = alice.start(), bob.start()
    try:
        while from_alice and from_bob:
            message = bytearray(from_alice[0])
            if wave == 0:
                place = int(flip * (len(message) - 8))
                message[8 + place] ^= 1
            wave -= 1
            from_alice, from_bob = alice.received(from_bob[0]), bob.received(bytes(message))
    except PeerError:
        return
    assert alice.done or bob.done


@settings(max_examples=60, deadline=None, derandomize=True)
@given(garbage=st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    side = Cascade("reference", np.zeros(2_000, np.uint8), 0.02, b"")
    first = side.start()[0]
    try:
        side.received(garbage)
    except PeerError:
        assert side.received(first), "still waits for the right message"
    else:
        assert garbage[:8] == first[:8]
