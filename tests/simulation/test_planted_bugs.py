"""The simulation sees what it is there to see: each bug planted here is found within a few hundred schedules."""

import bugs_in_crashes
import bugs_in_delivery
import bugs_in_masters
import bugs_in_shares
import bugs_in_streams
import pytest
from bugs_in_streams import Plant

from keyhop.testing.simulation import draw, run

SCHEDULES = 800
PLANTED = (
    bugs_in_streams.PLANTED
    | bugs_in_shares.PLANTED
    | bugs_in_delivery.PLANTED
    | bugs_in_masters.PLANTED
    | bugs_in_crashes.PLANTED
)


def test_there_are_bugs_of_all_kinds() -> None:
    assert len(PLANTED) >= 30


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    violations = (run(draw(seed)).violation for seed in range(SCHEDULES))
    found = next((violation for violation in violations if violation is not None), None)
    assert found is not None
    assert found.promise in PLANTED[plant], found
