"""What may go wrong with keys that authenticate KMEs and are refreshed: each bug planted here is found within some
schedules of KMEs that have such keys, and now and then no power."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice

import bugs_in_psks
import pytest
from bugs_in_streams import Plant

from keyhop.testing.simulation import Schedule, draw, run

SCHEDULES = 120
REFRESH_S = 4.0


def schedules() -> Iterator[Schedule]:
    """Those in which machines lose their power, with such keys."""
    for drawn in map(draw, count()):
        if any(action.name == "lose_power_soon" for action in drawn.actions):
            yield drawn._replace(setting=replace(drawn.setting, psk_refresh_s=REFRESH_S))


@pytest.mark.parametrize("plant", bugs_in_psks.PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_of_refreshed_keys_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    violations = (run(schedule).violation for schedule in islice(schedules(), SCHEDULES))
    found = next((violation for violation in violations if violation is not None), None)
    assert found is not None
    assert found.promise == 0, found
