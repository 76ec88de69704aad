"""The share of a core that handshakes may take."""

from keyhop.service.etsi014.cpu_budget import CpuBudget


def spent_in(share: float, seconds: float, each_s: float) -> float:
    """CPU seconds that work which is always there gets."""
    now = spent = 0.0
    budget = CpuBudget(share, now)
    while now < seconds:
        now += each_s
        spent += each_s
        now += budget.rest_s(each_s, now)
    return spent


def test_a_flood_gets_its_share_and_not_more() -> None:
    assert 0.25 * 100 <= spent_in(0.25, 100, 0.001) <= 0.25 * 101.1
    assert spent_in(1.0, 100, 0.001) >= 100


def test_what_was_not_used_is_saved_for_a_second_and_not_longer() -> None:
    budget = CpuBudget(0.5, 0.0)
    assert budget.rest_s(0.0, 1000.0) == 0
    assert budget.rest_s(0.5, 1000.0) == 0
    assert budget.rest_s(0.1, 1000.0) == 0.2
