"""One-way reconciliation as a dialogue of its two sides."""

import math
from itertools import pairwise

import numpy as np
import pytest

from keyhop.core.errors import PeerError
from keyhop.link.bb84.reconciliation import Bits, Reconciliation
from keyhop.link.bb84.reconciliation.ldpc import MAX_SYNDROMES_BYTES, Ldpc
from keyhop.link.bb84.reconciliation.ldpc_codes import MAX_FRAME_BITS

type Dialogue = tuple[Ldpc, Ldpc]


def noisy_pair(bits: int, qber: float, seed: int) -> tuple[Bits, Bits]:
    """What the transmitter and the receiver have."""
    random = np.random.default_rng(seed)
    reference = random.integers(0, 2, bits, dtype=np.uint8)
    return reference, reference ^ (random.random(bits) < qber).astype(np.uint8)


def sides(bits: int, qber: float, estimate: float | None = None, seed: int = 1) -> Dialogue:
    """Both sides of a round, not started."""
    reference, received = noisy_pair(bits, qber, seed)
    estimate = qber if estimate is None else estimate
    return Ldpc("reference", reference, estimate, b""), Ldpc("correcting", received, estimate, b"")


def play(transmitter: Reconciliation, receiver: Reconciliation) -> None:
    """All messages of a round."""
    syndromes = transmitter.start()
    assert receiver.start() == []
    for message in syndromes:
        assert not receiver.done
        assert not transmitter.done
        for answer in receiver.received(message):
            assert transmitter.received(answer) == []
    assert receiver.done
    assert transmitter.done


def wrong_in_truth(transmitter: Ldpc, receiver: Ldpc) -> list[int]:
    """Frames that differ."""
    ends = np.cumsum((0, *receiver.frames)).tolist()
    return [
        number
        for number, (start, end) in enumerate(pairwise(ends))
        if not np.array_equal(transmitter.bits[start:end], receiver.bits[start:end])
    ]


def efficiency(side: Ldpc, qber: float) -> float:
    """Disclosed bits as a multiple of Shannon's limit."""
    entropy = -qber * math.log2(qber) - (1 - qber) * math.log2(1 - qber)
    return side.disclosed_bits / side.bits.size / entropy


@pytest.mark.parametrize(
    ("qber", "at_most"),
    [(0.005, 1.45), (0.01, 1.25), (0.02, 1.2), (0.03, 1.17), (0.05, 1.16), (0.08, 1.16), (0.1, 1.16)],
)
def test_frames_are_corrected_near_the_limit(qber: float, at_most: float) -> None:
    transmitter, receiver = sides(24 * MAX_FRAME_BITS, qber)
    before = transmitter.bits.copy()
    play(transmitter, receiver)
    assert np.array_equal(transmitter.bits, before)
    assert len(receiver.wrong_frames) <= 1
    assert tuple(wrong_in_truth(transmitter, receiver)) == receiver.wrong_frames == transmitter.wrong_frames
    assert efficiency(receiver, qber) < at_most


@pytest.mark.parametrize("bits", [1, 2, 255, 1000, 4097, 20_000, 65_536, 131_072, 131_073, 300_001])
def test_both_sides_agree_on_rounds_of_any_size(bits: int) -> None:
    transmitter, receiver = sides(bits, 0.02, seed=bits)
    play(transmitter, receiver)
    assert transmitter.disclosed_bits == receiver.disclosed_bits > 0
    assert transmitter.frames == receiver.frames
    assert sum(receiver.frames) == bits
    assert max(receiver.frames) <= min(MAX_FRAME_BITS, min(receiver.frames) + 1)
    assert tuple(wrong_in_truth(transmitter, receiver)) == receiver.wrong_frames == transmitter.wrong_frames == ()


def test_short_rounds_fail_seldom() -> None:
    failed = 0
    for seed in range(100):
        transmitter, receiver = sides(1000, 0.03, seed=seed)
        play(transmitter, receiver)
        failed += bool(wrong_in_truth(transmitter, receiver))
    assert failed <= 8


def test_an_estimate_that_is_too_low_gives_wrong_frames_not_wrong_bits() -> None:
    transmitter, receiver = sides(10 * MAX_FRAME_BITS, 0.03, estimate=0.02)
    before = receiver.bits.copy()
    play(transmitter, receiver)
    assert receiver.wrong_frames == transmitter.wrong_frames == tuple(range(10))
    assert np.array_equal(receiver.bits, before)


def test_random_bits_are_not_corrected() -> None:
    transmitter, receiver = sides(3 * MAX_FRAME_BITS, 0.5, estimate=0.11)
    play(transmitter, receiver)
    assert receiver.wrong_frames == (0, 1, 2)


@pytest.mark.parametrize("estimate", [0.0, 1e-9, 0.11, 0.3, 0.5])
def test_any_estimate_gives_a_code(estimate: float) -> None:
    transmitter, receiver = sides(10_000, 0.0, estimate=estimate)
    play(transmitter, receiver)
    assert receiver.wrong_frames == ()


def test_the_bits_of_the_caller_stay_as_they_are() -> None:
    reference, received = noisy_pair(70_000, 0.02, 3)
    before = received.copy()
    receiver = Ldpc("correcting", received, 0.02, b"")
    play(Ldpc("reference", reference, 0.02, b""), receiver)
    assert np.array_equal(received, before)
    assert np.array_equal(receiver.bits, reference)


def test_syndromes_come_in_messages_of_bounded_size() -> None:
    transmitter, _ = sides(100 * MAX_FRAME_BITS, 0.1)
    messages = transmitter.start()
    assert len(messages) == 2
    assert all(len(message) <= MAX_SYNDROMES_BYTES for message in messages)


def test_nothing_cannot_be_reconciled() -> None:
    with pytest.raises(ValueError, match="nothing to reconcile"):
        Ldpc("reference", np.zeros(0, np.uint8), 0.02, b"")


def test_it_starts_once() -> None:
    transmitter, _ = sides(1000, 0.02)
    transmitter.start()
    with pytest.raises(ValueError, match="started before"):
        transmitter.start()


class TestHostileFarEnd:
    """Whatever it sends, the answer is a PeerError or a wrong frame."""

    def test_syndromes_before_the_start(self) -> None:
        transmitter, receiver = sides(1000, 0.02)
        with pytest.raises(PeerError, match="nobody waits for"):
            receiver.received(transmitter.start()[0])

    def test_repeated_syndromes(self) -> None:
        transmitter, receiver = sides(70 * MAX_FRAME_BITS, 0.1)
        syndromes = transmitter.start()
        receiver.start()
        assert receiver.received(syndromes[0]) == []
        with pytest.raises(PeerError, match="other frames"):
            receiver.received(syndromes[0])

    def test_syndromes_after_the_end(self) -> None:
        transmitter, receiver = sides(1000, 0.02)
        syndromes = transmitter.start()
        receiver.start()
        receiver.received(syndromes[0])
        with pytest.raises(PeerError, match="nobody waits for"):
            receiver.received(syndromes[0])

    def test_syndromes_of_another_code(self) -> None:
        other, _ = sides(1000, 0.05)
        _, receiver = sides(1000, 0.02)
        receiver.start()
        with pytest.raises(PeerError, match="another code"):
            receiver.received(other.start()[0])

    @pytest.mark.parametrize("change", [b"", b"\0"])
    def test_syndromes_of_a_wrong_length(self, change: bytes) -> None:
        transmitter, receiver = sides(1000, 0.02)
        receiver.start()
        syndromes = transmitter.start()[0]
        with pytest.raises(PeerError, match="do not have"):
            receiver.received(syndromes + change if change else syndromes[:-1])

    def test_an_empty_message(self) -> None:
        _, receiver = sides(1000, 0.02)
        receiver.start()
        with pytest.raises(PeerError):
            receiver.received(b"")

    def test_bits_behind_a_syndrome(self) -> None:
        transmitter, receiver = sides(1000, 0.03)
        assert receiver.disclosed_bits % 8
        receiver.start()
        syndromes = transmitter.start()[0]
        with pytest.raises(PeerError, match="behind its end"):
            receiver.received(syndromes[:-1] + bytes([syndromes[-1] | 0x80]))

    def test_syndromes_of_other_bits(self) -> None:
        other, _ = sides(131_072, 0.02, seed=2)
        _, receiver = sides(131_072, 0.02, seed=1)
        before = receiver.bits.copy()
        receiver.start()
        receiver.received(other.start()[0])
        assert receiver.wrong_frames == (0,)
        assert np.array_equal(receiver.bits, before)

    @pytest.mark.parametrize("answer", [b"", b"\0\0", b"\x02", b"\x80"])
    def test_answers_that_name_no_frames_of_the_round(self, answer: bytes) -> None:
        transmitter, _ = sides(1000, 0.02)
        transmitter.start()
        with pytest.raises(PeerError, match="wrong"):
            transmitter.received(answer)
        assert not transmitter.done

    def test_a_second_answer(self) -> None:
        transmitter, _ = sides(1000, 0.02)
        transmitter.start()
        transmitter.received(b"\x01")
        assert transmitter.wrong_frames == (0,)
        with pytest.raises(PeerError, match="nobody waits for"):
            transmitter.received(b"\0")
