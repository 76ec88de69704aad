"""The world of relays sees what it is there to see: each bug planted here is found within some hundred seeds."""

import bugs_in_relay
import pytest
from bugs_in_relay import Plant
from relay_world import World

SEEDS = 300


def breaks(seed: int) -> bool:
    """Whether something that must hold does not."""
    try:
        World(seed).run()
    except Exception:  # noqa: BLE001 - also what a state machine raises that never should
        return True
    return False


def test_there_are_enough_of_them() -> None:
    assert len(bugs_in_relay.PLANTED) >= 15


@pytest.mark.parametrize("plant", bugs_in_relay.PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_of_the_relay_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert any(breaks(seed) for seed in range(SEEDS))
