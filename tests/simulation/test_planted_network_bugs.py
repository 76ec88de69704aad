"""What relaying may get wrong is seen in whole networks: each bug planted here is found within some schedules."""

from collections.abc import Iterator
from dataclasses import replace

import bugs_in_networks
import pytest
from bugs_in_streams import Plant

from keyhop.network.feeder.planning import Terms
from keyhop.testing.simulation import NETWORKS, Schedule, draw, run

SCHEDULES = 100
RELAYING = [name for name, sites in NETWORKS.items() if sites.relays]


def schedules() -> Iterator[Schedule]:
    """Of networks that relay; those in which somebody alters messages also with all keys relayed in one step."""
    for seed in range(SCHEDULES):
        drawn = draw(seed, RELAYING[seed % len(RELAYING)])
        yield drawn
        if any(action.name == "alter" for action in drawn.actions):
            terms = Terms("xor-at-destination")
            yield drawn._replace(setting=replace(drawn.setting, terms=terms, buffering="on-demand"))


def test_there_are_enough_of_them() -> None:
    assert len(bugs_in_networks.PLANTED) >= 10


@pytest.mark.parametrize("plant", bugs_in_networks.PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_of_a_network_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    violations = (run(schedule).violation for schedule in schedules())
    found = next((violation for violation in violations if violation is not None), None)
    assert found is not None
    assert found.promise in bugs_in_networks.PLANTED[plant], found
