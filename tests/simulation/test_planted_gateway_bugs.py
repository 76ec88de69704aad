"""What gateways may get wrong is seen in two domains: each bug planted here is found within some schedules."""

import bugs_in_gateways
import pytest
from bugs_in_streams import Plant

from keyhop.testing.simulation import draw, run

SCHEDULES = 100


@pytest.mark.parametrize("plant", bugs_in_gateways.PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_of_a_gateway_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    violations = (run(draw(seed, "joined")).violation for seed in range(SCHEDULES))
    found = next((violation for violation in violations if violation is not None), None)
    assert found is not None
    assert found.promise in bugs_in_gateways.PLANTED[plant], found
