"""Rates, bursts and quotas: what is refused, for how long, and what it costs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhop.core.errors import BadRequest, Unavailable
from keyhop.core.ids import SaeId
from keyhop.service.gauges import Quota, Rate
from keyhop.service.limits import SWEEP_S, Limits
from keyhop.service.meters import Limit
from keyhop.testing.virtual import VirtualClock

A, B, C = SaeId("a"), SaeId("b"), SaeId("c")


def ask(limits: Limits, caller: SaeId = A, other: SaeId = B, size_bytes: int = 0) -> float:
    """0.0, or the seconds after which to ask again."""
    try:
        limits.charge(caller, caller, (other,), size_bytes)
    except Unavailable as refusal:
        return refusal.retry_after_s or -1.0
    return 0.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def test_without_limits_nothing_is_charged(clock: VirtualClock) -> None:
    assert Limits((), clock).charge(A, A, (B,), 1 << 40) is None


def test_a_burst_comes_at_once_and_then_only_the_rate(clock: VirtualClock) -> None:
    limits = Limits((Limit(A, requests=Rate(2.0, 3)),), clock)
    assert [ask(limits) for _ in range(4)] == [0, 0, 0, 0.5]
    clock.advance(0.25)
    assert ask(limits) == 0.25
    clock.advance(0.25)
    assert [ask(limits) for _ in range(2)] == [0, 0.5]
    clock.advance(100.0)
    assert [ask(limits) for _ in range(4)] == [0, 0, 0, 0.5]


def test_the_reason_names_the_limit(clock: VirtualClock) -> None:
    limits = Limits(
        (
            Limit("*", bytes=Rate(32.0, 64)),
            Limit(("*", "*"), requests=Rate(0.5, 1)),
            Limit(C, quota_bytes=Quota(100, 3600)),
        ),
        clock,
    )
    assert ask(limits, size_bytes=64) == 0
    with pytest.raises(Unavailable, match="the limit of SAE a is reached: 32 bytes of key per second, 64 at once"):
        limits.charge(A, A, (B,), 1)
    with pytest.raises(Unavailable, match=r"the limit of SAEs a and b is reached: 0\.5 requests per second, 1 at once"):
        limits.charge(A, A, (B,), 0)
    assert ask(limits, C, size_bytes=100) == 0
    clock.advance(600)
    with pytest.raises(Unavailable, match="the limit of SAE c is reached: 100 bytes of key in 3600 s") as refusal:
        limits.charge(C, C, (A,), 1)
    assert refusal.value.retry_after_s == 3000


def test_a_quota_begins_anew_with_the_first_request_after_its_period(clock: VirtualClock) -> None:
    limits = Limits((Limit(A, quota_bytes=Quota(100, 10)),), clock)
    assert [ask(limits, size_bytes=50) for _ in range(3)] == [0, 0, 10]
    clock.advance(15)
    assert [ask(limits, size_bytes=50) for _ in range(3)] == [0, 0, 10]


def test_what_was_charged_in_a_period_that_is_over_is_not_given_back_to_the_next(clock: VirtualClock) -> None:
    limits = Limits((Limit(A, quota_bytes=Quota(100, 10)),), clock)
    early = limits.charge(A, A, (B,), 100)
    clock.advance(15)
    late = limits.charge(A, A, (B,), 100)
    assert early is not None
    assert late is not None
    early.no_key_came()
    assert ask(limits, size_bytes=1) == 10
    late.no_key_came()
    assert ask(limits, size_bytes=100) == 0


@pytest.mark.parametrize("limit", [Limit(A, bytes=Rate(1.0, 64)), Limit(A, quota_bytes=Quota(64, 10))])
def test_what_can_never_be_is_a_bad_request_and_costs_nothing(clock: VirtualClock, limit: Limit) -> None:
    limits = Limits((limit,), clock)
    with pytest.raises(BadRequest, match=r"this is more than SAE a may ever have at once: .*64"):
        limits.charge(A, A, (B,), 65)
    assert ask(limits, size_bytes=64) == 0


def test_each_sae_and_each_pair_has_levels_of_its_own(clock: VirtualClock) -> None:
    limits = Limits((Limit("*", requests=Rate(1.0, 2)),), clock)
    assert [ask(limits, A), ask(limits, A), ask(limits, A)] == [0, 0, 1]
    assert ask(limits, B, A) == 0
    limits = Limits((Limit(("*", "*"), requests=Rate(1.0, 1)),), clock)
    assert [ask(limits, A, B), ask(limits, A, C), ask(limits, B, A), ask(limits, A, B)] == [0, 0, 0, 1]


def test_the_most_specific_limit_counts_of_each_kind(clock: VirtualClock) -> None:
    def burst(*limits: Limit, caller: SaeId = A, other: SaeId = B) -> int:
        asked = Limits(limits, clock)
        return next(n for n in range(100) if ask(asked, caller, other))

    def many(of: str | tuple[str, str], n: int) -> Limit:
        return Limit(of, requests=Rate(1.0, n))

    assert burst(many("*", 2), many("a", 7)) == 7
    assert burst(many("*", 2), many("a", 7), caller=C) == 2
    pairs = (many(("*", "*"), 2), many(("*", "b"), 3), many(("a", "*"), 4), many(("a", "b"), 5))
    assert burst(*pairs) == 5
    assert burst(*pairs, other=C) == 4
    assert burst(*pairs, caller=C) == 3
    assert burst(*pairs, caller=B, other=A) == 2
    assert burst(many("a", 3), many(("a", "b"), 5)) == 3
    assert burst(many("a", 5), many(("a", "b"), 3)) == 3


def test_a_refused_request_costs_nothing_anywhere(clock: VirtualClock) -> None:
    limits = Limits(
        (Limit("*", requests=Rate(1.0, 3), bytes=Rate(1.0, 100)), Limit(("a", "c"), quota_bytes=Quota(10, 60))), clock
    )
    for _ in range(20):
        with pytest.raises(BadRequest):
            limits.charge(A, A, (B, C), 11)
    assert ask(limits, A, C, 10) == 0
    for _ in range(20):
        with pytest.raises(Unavailable, match="SAEs a and c"):
            limits.charge(A, A, (B, C), 10)
    assert [ask(limits, size_bytes=45) for _ in range(3)] == [0, 0, 1]


@pytest.mark.parametrize("asks", ["for keys that another limit refuses", "whether it may"])
def test_who_has_nothing_begins_no_period_of_a_quota(clock: VirtualClock, asks: str) -> None:
    limits = Limits((Limit(A, quota_bytes=Quota(100, 10)), Limit((A, B), requests=Rate(0.05, 1))), clock)
    assert ask(limits, A, B, 100) == 0
    clock.advance(12)
    if asks == "whether it may":
        limits.check(A, A, (C,), 100)
    else:
        assert ask(limits, A, B, 50) == pytest.approx(8)
    clock.advance(1)
    assert ask(limits, A, C, 100) == 0
    clock.advance(9.5)
    assert ask(limits, A, C, 100) == 0.5


def test_asking_whether_one_may_is_answered_as_a_request_and_costs_nothing(clock: VirtualClock) -> None:
    limits = Limits((Limit("*", requests=Rate(1.0, 1)), Limit(("a", "b"), bytes=Rate(1.0, 10))), clock)
    for _ in range(3):
        limits.check(A, A, (B,), 10)
        with pytest.raises(BadRequest, match="SAEs a and b"):
            limits.check(A, A, (B,), 11)
    assert not limits._meters
    assert ask(limits, A, B, 10) == 0
    with pytest.raises(Unavailable, match="SAE a"):
        limits.check(A, A, (B,), 0)


def test_bytes_count_once_for_each_slave(clock: VirtualClock) -> None:
    limits = Limits((Limit(A, bytes=Rate(1.0, 96)), Limit(("*", "*"), bytes=Rate(1.0, 40))), clock)
    limits.charge(A, A, (B, C), 32)
    assert ask(limits, A, SaeId("d"), 33) == 1
    assert ask(limits, A, B, 9) == 1
    assert ask(limits, A, B, 8) == 0


def test_a_request_that_no_key_came_of_costs_no_bytes(clock: VirtualClock) -> None:
    limits = Limits((Limit(A, requests=Rate(1.0, 2), bytes=Rate(1.0, 64), quota_bytes=Quota(64, 60)),), clock)
    charge = limits.charge(A, A, (B,), 64)
    assert charge is not None
    charge.no_key_came()
    assert [ask(limits, size_bytes=64), ask(limits)] == [0, 1]


def test_levels_of_limits_that_did_not_change_are_kept(clock: VirtualClock) -> None:
    kept, changed = Limit(A, requests=Rate(1.0, 1)), Limit(B, requests=Rate(1.0, 1))
    limits = Limits((kept, changed, Limit("*", requests=Rate(1.0, 1))), clock)
    assert [ask(limits, who) for who in (A, B, C)] == [0, 0, 0]
    limits.replace((Limit(A, requests=Rate(1.0, 1)), Limit(B, requests=Rate(1.0, 2))))
    assert [ask(limits, who) for who in (A, B, C)] == [1, 0, 0]


def test_levels_that_are_full_again_are_forgotten(clock: VirtualClock) -> None:
    limits = Limits((Limit(("*", "*"), requests=Rate(1.0, 5), quota_bytes=Quota(64, 30)),), clock)
    for i in range(100):
        ask(limits, SaeId(f"sae{i}"), size_bytes=i % 2)
    assert len(limits._meters) == 100
    clock.advance(SWEEP_S)
    limits.tick()
    assert len(limits._meters) == 50
    clock.advance(30)
    limits.tick()
    assert not limits._meters


_STEPS = st.lists(st.tuples(st.floats(0, 3), st.integers(0, 80), st.booleans(), st.booleans()), min_size=1, max_size=60)


@settings(deadline=None)
@given(steps=_STEPS, per_s=st.floats(0.5, 50), burst=st.integers(80, 200), quota=st.integers(80, 400))
def test_no_more_is_had_than_the_limits_allow_and_who_waits_as_told_is_served(
    steps: list[tuple[float, int, bool, bool]], per_s: float, burst: int, quota: int
) -> None:
    clock = VirtualClock()
    period = 7.0
    limits = Limits((Limit(A, bytes=Rate(per_s, burst), quota_bytes=Quota(quota, period)),), clock)
    had: list[tuple[float, int]] = []
    for pause, size_bytes, key_came, patient in steps:
        clock.advance(pause)
        try:
            charge = limits.charge(A, A, (B,), size_bytes)
        except Unavailable as refusal:
            wait_s = refusal.retry_after_s
            while patient and wait_s:  # once more where the other gauge held it as well
                clock.advance(wait_s + 1e-6)
                wait_s = ask(limits, size_bytes=size_bytes)
            if patient:
                had.append((clock.monotonic(), size_bytes))
            continue
        assert charge is not None
        if key_came:
            had.append((clock.monotonic(), size_bytes))
        else:
            charge.no_key_came()
    for i, (start, _) in enumerate(had):
        later = had[i:]
        for j, (end, _) in enumerate(later):
            total = sum(size for _, size in later[: j + 1])
            assert total <= burst + per_s * (end - start) + 1e-3
            assert total <= quota * (2 + (end - start) // period)
