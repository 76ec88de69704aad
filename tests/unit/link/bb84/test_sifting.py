"""Both ends of a sifting against a reference that walks over the detections one by one."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keyhop.core.errors import LinkError, PeerError
from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.optics.pulses import PulseStates
from keyhop.link.bb84.sifting import sifting_kernels
from keyhop.link.bb84.sifting.payloads import MAX_ANNOUNCEMENT_BYTES, MAX_DETECTIONS
from keyhop.link.bb84.sifting.rounds import RECENT_X_EVENTS, ByBasis, SiftedRound, XSample
from keyhop.link.bb84.sifting.sides import ReceiverSifting, TransmitterSifting


@dataclass(frozen=True)
class Sample:
    """Random detections, and what was sent in their slots."""

    detections: Detections
    sent: PulseStates

    @classmethod
    def of(cls, seed: int, count: int, intensities: int, mean_gap: float = 100, x_probability: float = 0.3) -> "Sample":
        random = np.random.default_rng(seed)
        slots = np.cumsum(random.geometric(1 / mean_gap, count)) - 1

        def coins(probability: float) -> NDArray[np.uint8]:
            return (random.random(count) < probability).astype(np.uint8)

        bits = coins(0.5)
        detections = Detections(0, 1 << 40, slots, coins(x_probability), bits, coins(0.1).astype(np.bool_))
        sent = PulseStates(bits ^ coins(0.2), coins(x_probability), random.integers(0, intensities, count, np.uint8))
        return cls(detections, sent)

    def cut(self, start: int, stop: int) -> Detections:
        every = self.detections
        part = slice(start, stop)
        return Detections(0, 0, every.slots[part], every.bases[part], every.bits[part], every.doubles[part])

    def states(self, slots: NDArray[np.int64]) -> PulseStates:
        where = np.searchsorted(self.detections.slots, slots)
        assert np.array_equal(self.detections.slots[where], slots)
        return PulseStates(self.sent.bits[where], self.sent.bases[where], self.sent.intensities[where])


class Reference:
    """Rounds as the text has them: one detection after the other, no arrays."""

    def __init__(self, sample: Sample, block_bits: int, intensities: int) -> None:
        self.rounds: list[tuple[SiftedRound, SiftedRound]] = []
        self.x_errors: list[int] = []
        self.z_bits = 0
        self._intensities = intensities
        self._first_slot = 0
        self._begin()
        got, sent = sample.detections, sample.sent
        for i in range(len(got.slots)):
            basis, intensity = int(got.bases[i]), int(sent.intensities[i])
            match = basis == sent.bases[i]
            kind = ("z" if basis == 0 else "x") + ("_matching" if match else "_other")
            self._detections[kind] += 1
            self._doubles[kind] += int(got.doubles[i])
            if match and basis == 1:
                wrong = int(got.bits[i] != sent.bits[i])
                self.x_errors.append(wrong)
                self._n_x[intensity] += 1
                self._m_x[intensity] += wrong
            elif match:
                self.z_bits += 1
                self._n_z[intensity] += 1
                self._events.append((int(sent.bits[i]), int(got.bits[i]), intensity))
                if len(self._events) == block_bits:
                    self._end(int(got.slots[i]) + 1)

    def _begin(self) -> None:
        self._events: list[tuple[int, int, int]] = []
        self._n_z, self._n_x, self._m_x = ([0] * self._intensities for _ in range(3))
        self._detections, self._doubles = (
            dict.fromkeys(("z_matching", "z_other", "x_matching", "x_other"), 0) for _ in range(2)
        )

    def _end(self, end_slot: int) -> None:
        sent, got, intensities = (np.array(column, np.uint8) for column in zip(*self._events, strict=True))
        both = []
        for bits, doubles in ((sent, None), (got, ByBasis(**self._doubles))):
            both.append(
                SiftedRound(
                    number=len(self.rounds),
                    bits=bits,
                    intensities=intensities,
                    n_z=tuple(self._n_z),
                    n_x=tuple(self._n_x),
                    m_x=tuple(self._m_x),
                    detections=ByBasis(**self._detections),
                    doubles=doubles,
                    first_slot=self._first_slot,
                    end_slot=end_slot,
                )
            )
        self.rounds.append((both[0], both[1]))
        self._first_slot = end_slot
        self._begin()


def assert_same(one: SiftedRound | None, other: SiftedRound) -> None:
    assert one is not None
    assert one.bits.dtype == one.intensities.dtype == np.uint8
    assert np.array_equal(one.bits, other.bits)
    assert np.array_equal(one.intensities, other.intensities)
    assert repr(one) == repr(other)  # which has all but the arrays


def refuses_announcement(transmitter: TransmitterSifting, payload: bytes, sample: Sample) -> None:
    with pytest.raises(PeerError):
        transmitter.detections(payload, sample.states)


def take_answer(receiver: ReceiverSifting, answers: list[bytes]) -> None:
    answer = answers.pop(0)
    for altered in (answer + b"\0", answer[:-1]):
        with pytest.raises(PeerError):
            receiver.sifted(altered)
    receiver.sifted(answer)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 3000),
    intensities=st.sampled_from([2, 3]),
    block_bits=st.integers(1, 900),
    mean_gap=st.sampled_from([1.0, 3.0, 200.0, 1e5]),
    x_probability=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    cuts=st.lists(st.integers(0, 3000), max_size=6),
    behind=st.integers(1, 4),
)
def test_both_ends_cut_the_rounds_of_the_reference(
    seed: int,
    count: int,
    intensities: int,
    block_bits: int,
    mean_gap: float,
    x_probability: float,
    cuts: list[int],
    behind: int,
) -> None:
    sample = Sample.of(seed, count, intensities, mean_gap, x_probability)
    reference = Reference(sample, block_bits, intensities)
    receiver, transmitter = ReceiverSifting(block_bits, intensities), TransmitterSifting(block_bits, intensities)
    edges = sorted({0, count, *(cut for cut in cuts if cut < count)})
    answers: list[bytes] = []
    for start, stop in pairwise(edges):
        for payload in receiver.announce(sample.cut(start, stop)):
            refuses_announcement(transmitter, payload + b"\0", sample)
            refuses_announcement(transmitter, payload[:-1], sample)
            answers.append(transmitter.detections(payload, sample.states))
            refuses_announcement(transmitter, payload, sample)  # announced before
        while len(answers) >= behind:
            take_answer(receiver, answers)
        assert receiver.unanswered == len(answers)
    while answers:
        take_answer(receiver, answers)
    with pytest.raises(PeerError, match="not announced"):
        receiver.sifted(b"\0\0\0\0")

    for end in (receiver, transmitter):
        assert end.rounds_waiting == len(reference.rounds)
        assert end.sifted_bits == reference.z_bits
        assert end.x_events == len(reference.x_errors)
        recent = reference.x_errors[-RECENT_X_EVENTS:]
        assert end.recent_x == XSample(len(recent), sum(recent))
    for at_transmitter, at_receiver in reference.rounds:
        assert_same(transmitter.take_round(), at_transmitter)
        assert_same(receiver.take_round(), at_receiver)
    assert receiver.take_round() is None
    assert transmitter.take_round() is None


def test_events_after_the_last_key_bit_belong_to_the_next_round() -> None:
    bases = np.array([0, 1, 0, 1, 0], np.uint8)  # Z X Z | X Z
    bits = np.array([1, 0, 0, 1, 1], np.uint8)
    sent = PulseStates(np.array([1, 1, 0, 0, 1], np.uint8), bases, np.array([0, 0, 1, 1, 0], np.uint8))
    slots = np.array([3, 4, 5, 8, 9])
    receiver, transmitter = ReceiverSifting(2, 2), TransmitterSifting(2, 2)
    (payload,) = receiver.announce(Detections(0, 10, slots, bases, bits, np.array([False, True, False, True, False])))
    receiver.sifted(transmitter.detections(payload, lambda _: sent))
    for end in (receiver, transmitter):
        cut = end.take_round()
        assert cut is not None
        assert (cut.bits.tolist(), cut.intensities.tolist()) == ([1, 0], [0, 1])
        assert (cut.n_z, cut.n_x, cut.m_x) == ((1, 1), (1, 0), (1, 0))
        assert (cut.first_slot, cut.end_slot) == (0, 6)
        assert cut.doubles == (ByBasis(0, 0, 1, 0) if end is receiver else None)
        assert end.take_round() is None
        assert end.recent_x == XSample(2, 2)


def test_the_running_error_rate_forgets() -> None:
    early, late = RECENT_X_EVENTS, RECENT_X_EVENTS - 1
    count = early + late
    slots, ones = np.arange(count), np.ones(count, np.uint8)
    wrong = (slots < early).astype(np.uint8)
    detections = Detections(0, count, slots, ones, ones, np.zeros(count, np.bool_))
    sent = PulseStates(ones ^ wrong, ones, 0 * ones)
    receiver, transmitter = ReceiverSifting(100, 2), TransmitterSifting(100, 2)
    (payload,) = receiver.announce(detections)
    receiver.sifted(transmitter.detections(payload, lambda _: sent))
    assert receiver.recent_x == transmitter.recent_x == XSample(RECENT_X_EVENTS, 1)
    assert receiver.x_events == transmitter.x_events == count


def test_many_detections_make_several_announcements() -> None:
    sample = Sample.of(7, 2 * MAX_DETECTIONS + 5, 3, mean_gap=2)
    receiver, transmitter = ReceiverSifting(100_000, 3), TransmitterSifting(100_000, 3)
    payloads = receiver.announce(sample.detections)
    assert [int.from_bytes(payload[:4], "little") for payload in payloads] == [MAX_DETECTIONS, MAX_DETECTIONS, 5]
    for payload in payloads:
        receiver.sifted(transmitter.detections(payload, sample.states))
    reference = Reference(sample, 100_000, 3)
    assert reference.rounds
    for at_transmitter, at_receiver in reference.rounds:
        assert_same(transmitter.take_round(), at_transmitter)
        assert_same(receiver.take_round(), at_receiver)


def test_detections_far_apart_make_announcements_that_fit_into_a_message() -> None:
    count = MAX_DETECTIONS
    slots, ones = np.arange(count, dtype=np.int64) << 43, np.ones(count, np.uint8)
    sample = Sample(Detections(0, 1 << 62, slots, ones, ones, np.zeros(count, np.bool_)), PulseStates(ones, ones, ones))
    receiver, transmitter = ReceiverSifting(10, 2), TransmitterSifting(10, 2)
    payloads = receiver.announce(sample.detections)
    assert len(payloads) == receiver.unanswered == 3  # a gap takes 7 bytes
    assert all(len(payload) <= MAX_ANNOUNCEMENT_BYTES for payload in payloads)
    for payload in payloads:
        receiver.sifted(transmitter.detections(payload, sample.states))
    assert receiver.x_events == transmitter.x_events == count


def test_a_device_whose_slots_do_not_rise_is_broken() -> None:
    receiver = ReceiverSifting(10, 2)

    def announce(*slots: int) -> list[bytes]:
        zeros = np.zeros(len(slots), np.uint8)
        return receiver.announce(Detections(0, 0, np.array(slots, np.int64), zeros, zeros, zeros.astype(np.bool_)))

    assert announce() == []
    assert len(announce(0, 1, 5)) == 1
    for slots in ((5,), (-1,), (6, 6), (9, 8), (1 << 62,), (6, (1 << 63) - 1), (-(1 << 63), (1 << 63) - 1)):
        with pytest.raises(LinkError):
            announce(*slots)
    assert receiver.unanswered == 1
    assert len(announce(6, (1 << 62) - 1)) == 1


def test_a_device_that_forgets_pulses_is_broken() -> None:
    sample = Sample.of(1, 20, 2)
    (payload,) = ReceiverSifting(10, 2).announce(sample.detections)
    transmitter = TransmitterSifting(10, 2)
    with pytest.raises(ValueError, match="one state for each slot"):
        transmitter.detections(payload, lambda slots: sample.states(slots[1:]))
    assert transmitter.sifted_bits == 0


def test_nothing_is_compiled_after_the_warm_up() -> None:
    sifting_kernels.warm_up()
    sample = Sample.of(2, 500, 2)
    receiver, transmitter = ReceiverSifting(20, 2), TransmitterSifting(20, 2)
    (payload,) = receiver.announce(sample.detections)
    receiver.sifted(transmitter.detections(payload, sample.states))
    kernels = [getattr(sifting_kernels, name) for name in dir(sifting_kernels)]
    signatures = [len(kernel.signatures) for kernel in kernels if hasattr(kernel, "signatures")]
    assert signatures == [1] * 5


def test_key_bits_are_not_shown() -> None:
    sample = Sample.of(3, 500, 2)
    receiver, transmitter = ReceiverSifting(20, 2), TransmitterSifting(20, 2)
    (payload,) = receiver.announce(sample.detections)
    transmitter.detections(payload, sample.states)
    cut = transmitter.take_round()
    assert cut is not None
    assert "bits=" not in repr(cut)
    assert "array" not in repr(cut)


@pytest.mark.parametrize(("block_bits", "intensities"), [(0, 2), (10, 1), (10, 4)])
def test_rounds_that_cannot_be(block_bits: int, intensities: int) -> None:
    with pytest.raises(ValueError, match="a round has"):
        ReceiverSifting(block_bits, intensities)
