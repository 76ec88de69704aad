"""Runs schedules, and says how it went."""

import gc
import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from keyhop.testing.simulation.fairness import floors
from keyhop.testing.simulation.healing import works
from keyhop.testing.simulation.reach import cut_off
from keyhop.testing.simulation.schedule import ACTIONS, Schedule
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.simulation.trace import Trace
from keyhop.testing.violation import Violation

HELD_EVERY = 8
"""After how many actions the disks are searched for keys that were lost."""

FED_WITHIN = 5
"""Blocks of every link."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a schedule. `actions` counts those that were taken."""

    schedule: Schedule
    trace: Trace
    violation: Violation | None
    actions: int


def run(schedule: Schedule, only: Collection[int] | None = None) -> Outcome:
    """Lets everything happen and heal; `only` names the actions that are kept, all of them if it is None."""
    with _one_collection():
        return _run(schedule, only)


def _run(schedule: Schedule, only: Collection[int] | None) -> Outcome:
    simulation = Simulation(schedule.setting)
    taken = 0
    violation = None
    try:
        for _ in range(4):
            simulation.produce_everywhere(2048)
            simulation.run(0.2)
        if simulation.sites.relays:
            _let_relay(simulation)
        for index, action in enumerate(schedule.actions):
            if only is not None and index not in only:
                continue
            taken += 1
            simulation.run(action.gap_s)
            simulation.trace.note(simulation.loop.now, "", "action", index, action.name)
            ACTIONS[action.name](simulation, random.Random(action.salt).randrange)
            if taken % HELD_EVERY == 0:
                simulation.saes.check()
                simulation.watch.held(simulation.loop.now, simulation.saes)
        works(simulation)
        cut_off(simulation)
        floors(simulation)
    except Violation as broken:
        violation = broken
    finally:
        simulation.close()
    return Outcome(schedule, simulation.trace, violation, taken)


@contextmanager
def _one_collection() -> Iterator[None]:
    """Nearly everything in a run lives until its end: looking for garbage meanwhile took an eighth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
            gc.collect(0)


def _let_relay(simulation: Simulation) -> None:
    """Until KMEs know of each other's links and have something in their relayed streams."""
    for _ in range(FED_WITHIN):
        simulation.produce_everywhere(2048)
        simulation.run(0.5)
