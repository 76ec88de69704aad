"""The simulation sees what it is there to see: each bug planted here is found within a few hundred schedules."""

from collections.abc import Iterator
from itertools import count, islice

import bugs_in_crashes
import bugs_in_delivery
import bugs_in_masters
import bugs_in_shares
import bugs_in_streams
import pytest
from bugs_in_streams import Plant

from keyhop.testing.simulation import Schedule, draw, run

SCHEDULES = 800
PLANTED = (
    bugs_in_streams.PLANTED
    | bugs_in_shares.PLANTED
    | bugs_in_delivery.PLANTED
    | bugs_in_masters.PLANTED
    | bugs_in_crashes.PLANTED
)

NEEDS: dict[Plant, str] = {
    bugs_in_streams.a_lost_void_is_not_told_again: "wait_long",
    bugs_in_masters.voids_are_not_durable: "void",
    bugs_in_crashes.delivery_window_never_ends: "relapse",
    bugs_in_crashes.what_the_cache_shows_is_believed: "sqlite",
}
"""What rare bugs need, an action or a kind of disk: they are looked for where that is."""


def schedules(plant: Plant) -> Iterator[Schedule]:
    """In which it may be found."""
    need = NEEDS.get(plant)
    for schedule in map(draw, count()):
        if need in (None, schedule.setting.disk) or any(action.name == need for action in schedule.actions):
            yield schedule


def test_there_are_bugs_of_all_kinds() -> None:
    assert len(PLANTED) >= 30


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    violations = (run(schedule).violation for schedule in islice(schedules(plant), SCHEDULES))
    found = next((violation for violation in violations if violation is not None), None)
    assert found is not None
    assert found.promise in PLANTED[plant], found
