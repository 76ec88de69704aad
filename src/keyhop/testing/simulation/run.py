"""Runs schedules, and says how it went."""

import random
from collections.abc import Collection
from dataclasses import dataclass

from keyhop.testing.history import Violation
from keyhop.testing.simulation.fairness import floors
from keyhop.testing.simulation.healing import works
from keyhop.testing.simulation.schedule import ACTIONS, Schedule
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.simulation.trace import Trace

HELD_EVERY = 8
"""After how many actions the disks are searched for keys that were lost."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a schedule. `actions` counts those that were taken."""

    schedule: Schedule
    trace: Trace
    violation: Violation | None
    actions: int


def run(schedule: Schedule, only: Collection[int] | None = None) -> Outcome:
    """Lets everything happen and heal; `only` names the actions that are kept, all of them if it is None."""
    simulation = Simulation(schedule.setting)
    taken = 0
    violation = None
    try:
        for _ in range(4):
            for a, b in simulation.sites.wires:
                simulation.produce_block(a, b, 2048)
            simulation.run(0.2)
        for index, action in enumerate(schedule.actions):
            if only is not None and index not in only:
                continue
            taken += 1
            simulation.run(action.gap_s)
            simulation.trace.note(simulation.loop.now, "", "action", index, action.name)
            ACTIONS[action.name](simulation, random.Random(action.salt).randrange)
            simulation.check()
            if taken % HELD_EVERY == 0:
                simulation.saes.check()
                simulation.watch.held(simulation.loop.now, simulation.saes)
        works(simulation)
        floors(simulation)
    except Violation as broken:
        violation = broken
    finally:
        simulation.close()
    return Outcome(schedule, simulation.trace, violation, taken)
