"""What may go wrong with keys that are combined with ML-KEM, or expanded: each bug planted here is found within some
schedules in which pairs of SAEs want such keys."""

from collections.abc import Iterator
from itertools import count, islice

import bugs_in_marked_keys
import pytest
from bugs_in_streams import Plant

from keyhop.testing.simulation import Schedule, draw, run

SCHEDULES = 100


def schedules() -> Iterator[Schedule]:
    """Those in which somebody may have hybrid keys, and expanded ones when streams run out."""
    drawn = (schedule for schedule in map(draw, count()) if schedule.setting.rules)
    return (schedule for schedule in drawn if any(action.name == "enc_dry" for action in schedule.actions))


@pytest.mark.parametrize("plant", bugs_in_marked_keys.PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_of_marked_keys_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    violations = (run(schedule).violation for schedule in islice(schedules(), SCHEDULES))
    found = next((violation for violation in violations if violation is not None), None)
    assert found is not None
    assert found.promise in bugs_in_marked_keys.PLANTED[plant], found
