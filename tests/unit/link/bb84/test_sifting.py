"""Both ends of a sifting against a reference that walks over the detections one by one."""

import math
from collections.abc import Callable
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
from keyhop.link.bb84.sifting import collecting, sifting_kernels
from keyhop.link.bb84.sifting.collecting import MARGIN, PATIENCE, PORTION, Collecting, Part, detections_needed
from keyhop.link.bb84.sifting.payloads import MAX_ANNOUNCEMENT_BYTES, decode_announcement
from keyhop.link.bb84.sifting.rounds import NEWEST_X_EVENTS, RECENT_X_EVENTS, ByBasis, SiftedRound, XSample
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


@dataclass(frozen=True)
class Plan:
    """What both ends sift by."""

    block_bits: int
    intensities: int
    z_probability: float
    sample_events: int

    def ends(self) -> tuple[ReceiverSifting, TransmitterSifting]:
        gathers = Collecting(self.block_bits, self.z_probability, self.z_probability, self.sample_events)
        return (
            ReceiverSifting(self.block_bits, self.intensities, gathers),
            TransmitterSifting(self.block_bits, self.intensities),
        )


class Reference:
    """Samples, collections and rounds as the text has them: one detection after the other, no arrays."""

    def __init__(self, sample: Sample, plan: Plan) -> None:
        self.rounds: list[tuple[SiftedRound, SiftedRound]] = []
        self.short: list[ByBasis] = []
        self.ends: list[int] = []
        """How many detections there were when the sample ended, and then each collection."""
        self._plan = plan
        self._sample = sample
        share = plan.z_probability
        start = self._stretch(0, 1, detections_needed(plan.sample_events, 1 - share), 1 - share)
        while start is not None:
            self.ends.append(start)
            stop = self._stretch(start, 0, detections_needed(plan.block_bits, share), share)
            if stop is not None:
                self._cut(start, stop)
            start = stop

    def _stretch(self, start: int, decisive: int, wanted: int, share: float) -> int | None:
        """Where what begins at `start` ends; None when the detections do not suffice."""
        most = start + math.ceil(PATIENCE * wanted / share)
        for i in range(start, len(self._sample.detections.slots)):
            wanted -= int(self._sample.detections.bases[i] == decisive)
            if wanted == 0 or i + 1 == most:
                return i + 1
        return None

    def _cut(self, start: int, stop: int) -> None:
        got, sent = self._sample.detections, self._sample.sent
        detections, doubles = (dict.fromkeys(("z_matching", "z_other", "x_matching", "x_other"), 0) for _ in range(2))
        events: list[tuple[int, int, int]] = []
        n_z, n_x, m_x = ([0] * self._plan.intensities for _ in range(3))
        for i in range(start, stop):
            basis, intensity = int(got.bases[i]), int(sent.intensities[i])
            match = basis == sent.bases[i]
            kind = ("z" if basis == 0 else "x") + ("_matching" if match else "_other")
            detections[kind] += 1
            doubles[kind] += int(got.doubles[i])
            if match and basis == 1:
                n_x[intensity] += 1
                m_x[intensity] += int(got.bits[i] != sent.bits[i])
            elif match:
                n_z[intensity] += 1
                events.append((int(sent.bits[i]), int(got.bits[i]), intensity))
            if len(events) == self._plan.block_bits:
                break
        else:
            self.short.append(ByBasis(**detections))
            return
        columns = [np.array(column, np.uint8) for column in zip(*events, strict=True)]
        both = [
            SiftedRound(
                number=len(self.rounds),
                bits=bits,
                intensities=columns[2],
                n_z=tuple(n_z),
                n_x=tuple(n_x),
                m_x=tuple(m_x),
                detections=ByBasis(**detections),
                doubles=seen,
                first_slot=int(got.slots[start]),
                end_slot=int(got.slots[i]) + 1,
            )
            for bits, seen in ((columns[0], None), (columns[1], ByBasis(**doubles)))
        ]
        self.rounds.append((both[0], both[1]))

    def x_errors(self, announced: int) -> list[int]:
        """Whether the bits differ, of each X event among the detections announced."""
        got, sent = self._sample.detections, self._sample.sent
        return [int(got.bits[i] != sent.bits[i]) for i in range(announced) if got.bases[i] == 1 and sent.bases[i] == 1]


def assert_same(one: SiftedRound | None, other: SiftedRound) -> None:
    assert one is not None
    assert one.bits.dtype == one.intensities.dtype == np.uint8
    assert np.array_equal(one.bits, other.bits)
    assert np.array_equal(one.intensities, other.intensities)
    assert repr(one) == repr(other)  # which has all but the arrays


type States = Callable[[NDArray[np.int64]], PulseStates]


def refuses_announcement(transmitter: TransmitterSifting, payload: bytes, part: Part, sample: Sample) -> None:
    with pytest.raises(PeerError):
        transmitter.detections(payload, part, sample.states)


def converse(receiver: ReceiverSifting, transmitter: TransmitterSifting, states: States) -> list[Part]:
    """Until there is nothing to announce: the parts."""
    parts = []
    while (announcement := receiver.announce()) is not None:
        parts.append(announcement[1])
        receiver.sifted(transmitter.detections(*announcement, states))
    return parts


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
    block_bits=st.integers(1, 600),
    mean_gap=st.sampled_from([1.0, 3.0, 200.0, 1e5]),
    x_probability=st.sampled_from([0.02, 0.1, 0.5, 0.9]),
    really_x=st.sampled_from([None, 0.0, 0.5, 1.0]),
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
    really_x: float | None,
    cuts: list[int],
    behind: int,
) -> None:
    sample = Sample.of(seed, count, intensities, mean_gap, x_probability if really_x is None else really_x)
    plan = Plan(block_bits, intensities, 1 - x_probability, sample_events=5)
    reference = Reference(sample, plan)
    receiver, transmitter = plan.ends()
    edges = sorted({0, count, *(cut for cut in cuts if cut < count)})
    answers: list[bytes] = []
    announced = 0
    for start, stop in pairwise(edges):
        receiver.detected(sample.cut(start, stop))
        while (announcement := receiver.announce()) is not None:
            payload, part = announcement
            for altered in (payload + b"\0", payload[:-1]):
                refuses_announcement(transmitter, altered, part, sample)
            answers.append(transmitter.detections(payload, part, sample.states))
            refuses_announcement(transmitter, payload, part, sample)  # announced before
            announced += int.from_bytes(payload[:4], "little")
        # Of a collection either nothing is announced or all; a sample is announced as it comes.
        ended = max((end for end in reference.ends if end <= stop), default=stop)
        assert announced == ended
        while len(answers) >= behind:
            take_answer(receiver, answers)
        assert receiver.unanswered == len(answers)
    while answers:
        take_answer(receiver, answers)
    with pytest.raises(PeerError, match="not announced"):
        receiver.sifted(b"\0\0\0\0")

    x_errors = reference.x_errors(announced)
    for end in (receiver, transmitter):
        assert end.rounds_waiting == len(reference.rounds)
        assert end.sifted_bits == block_bits * len(reference.rounds)
        assert end.x_events == len(x_errors)
        recent = x_errors[-RECENT_X_EVENTS:]
        assert end.recent_x == XSample(len(recent), sum(recent), len(recent[-300:]), sum(recent[-300:]))
        assert [end.take_short() for _ in range(len(reference.short) + 1)] == [*reference.short, None]
    for at_transmitter, at_receiver in reference.rounds:
        assert_same(transmitter.take_round(), at_transmitter)
        assert_same(receiver.take_round(), at_receiver)
    assert receiver.take_round() is None
    assert transmitter.take_round() is None


def by_hand(bases: str, sent: str) -> tuple[Detections, States]:
    """Detections in every second slot: in these bases, of pulses in those."""
    count = len(bases)
    slots, ones = 2 * np.arange(count), np.ones(count, np.uint8)
    measured, prepared = (np.array([letter == "X" for letter in text], np.uint8) for text in (bases, sent))
    doubles = measured.astype(np.bool_)

    def states(asked: NDArray[np.int64]) -> PulseStates:
        where = asked // 2
        return PulseStates(ones[where], prepared[where], 0 * ones[where])

    return Detections(0, 2 * count, slots, measured, ones, doubles), states


def test_what_follows_the_last_key_bit_of_a_collection_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "detections_needed", lambda wanted, share: wanted + 1)
    #                          sample  round   rest   short     round
    detections, states = by_hand("XXZXZXXZZXZZZZZ", "XXZXZXXZZXXXZZZ")
    receiver, transmitter = Plan(2, 2, 0.5, 1).ends()
    receiver.detected(detections)
    assert converse(receiver, transmitter, states) == ["sample", "end", "end", "end"]
    for end in (receiver, transmitter):
        first, second = end.take_round(), end.take_round()
        assert first is not None
        assert second is not None
        assert (first.n_z, first.n_x, first.first_slot, first.end_slot) == ((2, 0), (1, 0), 4, 9)
        assert (second.n_z, second.n_x, second.first_slot, second.end_slot) == ((2, 0), (0, 0), 24, 27)
        assert (first.number, second.number) == (0, 1)
        assert first.doubles == (ByBasis(0, 0, 1, 0) if end is receiver else None)
        assert end.take_round() is None
        assert end.take_short() == ByBasis(z_matching=1, z_other=2, x_matching=1, x_other=0)
        assert end.recent_x == XSample(6, 0, 6, 0)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.83, 0.95])
@pytest.mark.parametrize("wanted", [1, 1000, 1_600_000])
def test_a_collection_has_enough_but_for_six_standard_deviations(share: float, wanted: int) -> None:
    def surely(number: int) -> float:
        return number * share - MARGIN * math.sqrt(number * share * (1 - share))

    needed = detections_needed(wanted, share)
    assert surely(needed) >= wanted > surely(needed - 1)


def test_a_collection_ends_even_if_one_basis_never_comes() -> None:
    """Someone who makes the detectors click in X only, or in Z only, cannot fill the memory."""
    for letter in "XZ":
        detections, _ = by_hand(letter * 3000, letter * 3000)
        gathers = Collecting(100, 0.5, 0.5, 10)
        gathers.add(detections)
        assert gathers.complete >= 2


def test_a_transmitter_that_chooses_z_more_rarely_than_configured_makes_rounds_all_the_same() -> None:
    plan = Plan(1000, 2, 0.8, 10)
    gathers = Collecting(1000, 0.8, 0.8, 10)
    receiver, transmitter = ReceiverSifting(1000, 2, gathers), TransmitterSifting(1000, 2)
    sample = Sample.of(5, 20_000, 2, x_probability=0.3)
    for start in range(0, 20_000, 100):
        receiver.detected(sample.cut(start, start + 100))
        converse(receiver, transmitter, sample.states)
        short = receiver.take_short()
        assert transmitter.take_short() == short
        if short is not None:
            gathers.expect(short.z_matching / (short.z_matching + short.z_other))
    assert plan.block_bits * receiver.rounds_waiting == receiver.sifted_bits > 5000


def test_when_the_light_is_back_a_sample_comes_first_and_nothing_from_before() -> None:
    receiver_gathers = Collecting(100, 0.5, 0.5, 10)
    receiver, transmitter = ReceiverSifting(100, 2, receiver_gathers), TransmitterSifting(100, 2)
    sample = Sample.of(6, 1000, 2, x_probability=0.5)
    receiver.detected(sample.cut(0, 300))
    assert set(converse(receiver, transmitter, sample.states)) == {"sample"}
    receiver_gathers.sample_again()
    receiver.detected(sample.cut(300, 310))
    announcement = receiver.announce()
    assert announcement is not None
    assert announcement[1] == "sample"
    assert decode_announcement(announcement[0], 0).slots.tolist() == sample.detections.slots[300:310].tolist()


def test_a_sample_in_the_middle_of_a_collection_is_refused() -> None:
    detections, states = by_hand("X" * 100 + "ZX" * 100, "X" * 100 + "ZX" * 100)
    receiver, transmitter = Plan(10, 2, 0.5, 10).ends()
    receiver.detected(detections)
    payloads = []
    while (announcement := receiver.announce()) is not None:
        payloads.append(announcement[0])
    transmitter.detections(payloads[0], "middle", states)
    with pytest.raises(PeerError, match="in the middle of a round"):
        transmitter.detections(payloads[1], "sample", states)


def test_the_running_error_rate_forgets() -> None:
    early, late = RECENT_X_EVENTS, RECENT_X_EVENTS - 1
    count = early + late
    slots, ones = np.arange(count), np.ones(count, np.uint8)
    wrong = (slots < early).astype(np.uint8)
    detections = Detections(0, count, slots, ones, ones, np.zeros(count, np.bool_))
    receiver, transmitter = Plan(100, 2, 0.5, count).ends()
    receiver.detected(detections)
    converse(receiver, transmitter, lambda asked: PulseStates(ones[asked] ^ wrong[asked], ones[asked], 0 * ones[asked]))
    assert receiver.recent_x == transmitter.recent_x == XSample(RECENT_X_EVENTS, 1, NEWEST_X_EVENTS, 0)
    assert receiver.x_events == transmitter.x_events == count
    for end in (receiver, transmitter):
        end.forget_x()
        assert end.recent_x == XSample(0, 0, 0, 0)


def test_many_detections_make_several_announcements() -> None:
    sample = Sample.of(7, 4 * PORTION, 3, mean_gap=2)
    plan = Plan(100_000, 3, 0.7, 1000)
    receiver, transmitter = plan.ends()
    receiver.detected(sample.detections)
    parts = converse(receiver, transmitter, sample.states)
    assert parts == ["sample", *["middle"] * (len(parts) - 2), "end"]
    assert len(parts) > 4
    reference = Reference(sample, plan)
    assert reference.rounds
    for at_transmitter, at_receiver in reference.rounds:
        assert_same(transmitter.take_round(), at_transmitter)
        assert_same(receiver.take_round(), at_receiver)


def test_a_few_detections_at_a_time_are_announced_together() -> None:
    sample = Sample.of(8, 5000, 2)
    receiver, transmitter = Plan(1000, 2, 0.7, 1).ends()
    for start in range(0, 5000, 10):
        receiver.detected(sample.cut(start, start + 10))
    assert converse(receiver, transmitter, sample.states).count("end") >= 2
    assert "middle" not in converse(receiver, transmitter, sample.states)


def test_detections_far_apart_make_announcements_that_fit_into_a_message() -> None:
    count = 2 * PORTION
    slots, ones = np.arange(count, dtype=np.int64) << 43, np.ones(count, np.uint8)
    sample = Sample(Detections(0, 1 << 62, slots, ones, ones, np.zeros(count, np.bool_)), PulseStates(ones, ones, ones))
    receiver, transmitter = Plan(10, 2, 0.5, count).ends()
    receiver.detected(sample.detections)
    while (announcement := receiver.announce()) is not None:
        assert len(announcement[0]) <= MAX_ANNOUNCEMENT_BYTES
        receiver.sifted(transmitter.detections(*announcement, sample.states))
    assert receiver.x_events == transmitter.x_events == count


def test_a_device_whose_slots_do_not_rise_is_broken() -> None:
    receiver, _ = Plan(10, 2, 0.5, 1000).ends()

    def detected(*slots: int) -> None:
        ones = np.ones(len(slots), np.uint8)
        receiver.detected(Detections(0, 0, np.array(slots, np.int64), ones, ones, ones.astype(np.bool_)))

    detected()
    assert receiver.announce() is None
    detected(0, 1, 5)
    for slots in ((5,), (-1,), (6, 6), (9, 8), (1 << 62,), (6, (1 << 63) - 1), (-(1 << 63), (1 << 63) - 1)):
        broken, _ = Plan(10, 2, 0.5, 1000).ends()
        receiver = broken
        detected(0, 1, 5)
        with pytest.raises(LinkError):
            detected(*slots)
    receiver, _ = Plan(10, 2, 0.5, 1000).ends()
    detected(6, (1 << 62) - 1)
    assert receiver.announce() is not None


def test_a_device_that_forgets_pulses_is_broken() -> None:
    sample = Sample.of(1, 20, 2)
    receiver, transmitter = Plan(10, 2, 0.5, 100).ends()
    receiver.detected(sample.detections)
    announcement = receiver.announce()
    assert announcement is not None
    with pytest.raises(ValueError, match="one state for each slot"):
        transmitter.detections(*announcement, lambda slots: sample.states(slots[1:]))
    assert transmitter.x_events == 0


def sifted(seed: int) -> TransmitterSifting:
    """With a round that is full."""
    sample = Sample.of(seed, 500, 2)
    receiver, transmitter = Plan(20, 2, 0.7, 1).ends()
    receiver.detected(sample.detections)
    converse(receiver, transmitter, sample.states)
    return transmitter


def test_nothing_is_compiled_after_the_warm_up() -> None:
    sifting_kernels.warm_up()
    sifted(2)
    kernels = [getattr(sifting_kernels, name) for name in dir(sifting_kernels)]
    signatures = [len(kernel.signatures) for kernel in kernels if hasattr(kernel, "signatures")]
    assert signatures == [1] * 5


def test_key_bits_are_not_shown() -> None:
    cut = sifted(3).take_round()
    assert cut is not None
    assert "bits=" not in repr(cut)
    assert "array" not in repr(cut)


@pytest.mark.parametrize(("block_bits", "intensities"), [(0, 2), (10, 1), (10, 4)])
def test_rounds_that_cannot_be(block_bits: int, intensities: int) -> None:
    with pytest.raises(ValueError, match="a round has"):
        TransmitterSifting(block_bits, intensities)
