"""Whatever was counted, a key length is a sane number, and worse news never makes it longer."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from keyhop.link.bb84.key_length.finite_key import Counts, KeyLength, Security, key_length

ONE = ((0.393, 0.128), (0.58, 0.42))
TWO = ((0.45, 0.17, 2e-4), (0.6, 0.25, 0.15))
counts_up_to = st.integers(0, 10**9)


@st.composite
def any_counts(draw: st.DrawFn) -> Counts:
    """Anything that can be counted, likely or not."""
    size = draw(st.sampled_from((2, 3)))
    n_z, n_x = (draw(st.tuples(*[counts_up_to] * size)) for _ in range(2))
    m_z, m_x = (tuple(draw(st.integers(0, n)) for n in detections) for detections in (n_z, n_x))
    return Counts(n_z, m_z, n_x, m_x)


@st.composite
def likely_counts(draw: st.DrawFn) -> Counts:
    """Rounds of an honest line, with a gain in proportion to the intensity, near where the key ends."""
    intensities, probabilities = draw(st.sampled_from((ONE, TWO)))
    clicks = 10 ** draw(st.floats(4.5, 8))
    share_x = draw(st.floats(0.01, 1))
    qber = draw(st.floats(0, 0.08))
    n_z = [round(clicks * p * (k + 1e-4)) for k, p in zip(intensities, probabilities, strict=True)]
    n_x = [round(n * share_x) for n in n_z]
    m_z, m_x = ([min(n, round(n * qber)) for n in detections] for detections in (n_z, n_x))
    return Counts(tuple(n_z), tuple(m_z), tuple(n_x), tuple(m_x))


def length(counts: Counts, disclosed_bits: int = 0, security: Security | None = None) -> KeyLength:
    intensities, probabilities = ONE if len(counts.n_z) == 2 else TWO
    return key_length(counts, intensities, probabilities, disclosed_bits, security or Security())


@settings(max_examples=400)
@given(counts=st.one_of(any_counts(), likely_counts()), disclosed=st.integers(0, 10**9))
def test_a_key_is_no_longer_than_what_was_sifted_and_no_key_has_a_reason(counts: Counts, disclosed: int) -> None:
    result = length(counts, disclosed)
    assert 0 <= result.bits <= sum(counts.n_z)
    assert 0 <= result.vacuum_bits + result.single_photon_bits <= sum(counts.n_z)
    assert 0 <= result.phase_error <= 0.5
    assert (result.bits == 0) == (result.reason is not None)


@given(counts=likely_counts(), first=st.integers(0, 10**7), more=st.integers(1, 10**6))
def test_each_disclosed_bit_costs_exactly_one(counts: Counts, first: int, more: int) -> None:
    before, after = length(counts, first), length(counts, first + more)
    assert after.bits == max(0, before.bits - more)


@given(counts=likely_counts(), more=st.floats(0, 1))
def test_more_errors_never_give_more_key(counts: Counts, more: float) -> None:
    """Errors anywhere in Z, and in X among the pulses whose errors bound those of the single photons from above.

    Not so for X errors of the weakest intensity alone: they say that errors come without photons.
    """
    worse_z = tuple(m + int(more * (n - m)) for n, m in zip(counts.n_z, counts.m_z, strict=True))
    above = len(counts.n_x) - 2
    worse_x = list(counts.m_x)
    worse_x[above] += int(more * (counts.n_x[above] - counts.m_x[above]))
    assert length(replace(counts, m_z=worse_z)).bits <= length(counts).bits
    assert length(replace(counts, m_x=tuple(worse_x))).bits <= length(counts).bits


@given(counts=likely_counts(), exponent=st.floats(-15, -4), weaker=st.floats(0, 4))
def test_a_larger_epsilon_never_gives_less_key(counts: Counts, exponent: float, weaker: float) -> None:
    strict, loose = 10**exponent, min(0.99, 10 ** (exponent + weaker))
    assert length(counts, 0, Security(strict, 1e-15)).bits <= length(counts, 0, Security(loose, 1e-15)).bits
    assert length(counts, 0, Security(1e-10, strict)).bits <= length(counts, 0, Security(1e-10, loose)).bits
