"""How long keys take between two domains that are far apart: one way there and one back, however many are asked for."""

import pytest

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import SaeId
from keyhop.service.requests import GetKey, Keys
from keyhop.testing.domains import TwoDomains

A, W, B, E = map(SaeId, ("a", "w", "b", "e"))
ONE_WAY_S = 0.045
STEP_S = 0.005


def took_s(both: TwoDomains, master: SaeId, slave: SaeId, number: int, every_s: float) -> list[float]:
    """The times of so many requests, of which one begins in each of these intervals."""
    begun: list[float] = []
    answers: list[list[Keys | KeyhopError]] = []
    times: dict[int, float] = {}
    for _ in range(round((number * every_s + 1.0) / STEP_S)):
        now = both.clock.monotonic()
        if len(begun) < number and (not begun or now - begun[-1] >= every_s - STEP_S / 2):
            begun.append(now)
            answers.append(both.get_key(GetKey(master, slave)))
            both.settle()
        both.pass_time(STEP_S, STEP_S)
        for each, answer in enumerate(answers):
            if answer and each not in times:
                assert isinstance(answer[0], Keys), answer
                times[each] = both.clock.monotonic() - begun[each]
    assert len(times) == number
    return [times[each] for each in range(number)]


@pytest.mark.parametrize("every_s", [0.2, 0.1, 0.05, 0.01])
@pytest.mark.parametrize(("master", "slave"), [(A, B), (W, E)])
def test_a_key_takes_one_way_there_and_one_back(master: SaeId, slave: SaeId, every_s: float) -> None:
    both = TwoDomains("a", "w", "b", "e", one_way_s=ONE_WAY_S)
    both.pass_time(1.0, STEP_S)
    assert max(took_s(both, master, slave, 20, every_s)) < 2 * ONE_WAY_S + 1.5 * STEP_S
