"""Whole networks under faults, at the end of which no record may be anywhere that nobody can be given."""

from collections.abc import Iterator
from itertools import count, islice
from sys import modules

import pytest

from keyhop.core.ids import KEY_ID_BYTES
from keyhop.core.outgoing import Sent
from keyhop.core.record_ids import kept_as
from keyhop.service.undoing import LATE_S, Undoing
from keyhop.testing.simulation import NETWORKS, Schedule, draw, healing, run, setting
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.violation import Violation

FOREVER_S = 1e6
"""Records do not go away by their age."""

ALONE = sorted(name for name in NETWORKS if name != "joined")


class Given:
    """Key IDs whose records were settled, and so given to their masters, or lost with the answer to one."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ids: set[bytes] = set()
        self.undone = 0
        settle, undo, resume = Undoing.settle, Undoing.undo, Undoing.resume

        def settled(undoing: Undoing, name: bytes) -> None:
            self.ids |= _kept(undoing._outgoing[name])
            settle(undoing, name)

        def undone(undoing: Undoing, name: bytes) -> None:
            self.undone += 1
            undo(undoing, name)

        def resumed(undoing: Undoing) -> None:
            for name in undoing._outgoing.found:
                self.ids -= _kept(undoing._outgoing[name])
                self.undone += 1
            resume(undoing)

        for name, does in (("settle", settled), ("undo", undone), ("resume", resumed)):
            patch.setattr(Undoing, name, does)
        patch.setattr(setting, "LIFETIME_S", FOREVER_S)
        running = modules[run.__module__]
        patch.setattr(running, "works", self._works)
        patch.setattr(running, "cut_off", lambda sim: None)
        patch.setattr(running, "floors", lambda sim: None)

    def _works(self, sim: Simulation) -> None:
        healing.works(sim)
        sim.run(LATE_S + 5.0)
        for name, machine in sim.machines.items():
            assert machine.kme is not None
            records = machine.kme.records
            came = {key_id for key_id in records._records if sim.sites.home[records.origin(key_id).master] != name}
            left = came - self.ids
            if left:
                raise Violation(0, f"{name} keeps {len(left)} records that nobody can be given")
            if len(records.outgoing):
                raise Violation(0, f"{name} has not settled what it sent")


def schedules(need: str | None = None) -> Iterator[tuple[Schedule, list[int]]]:
    """With an action of that name. Nobody goes back to an old copy: what that had under way is left alone. What is
    under way between two domains is settled by these (`etsi020`)."""
    for seed in count():
        schedule = draw(seed, ALONE[seed % len(ALONE)])
        if need is None or any(action.name == need for action in schedule.actions):
            yield schedule, [at for at, action in enumerate(schedule.actions) if "restore" not in action.name]


def violations(number: int, need: str | None = None) -> Iterator[Violation | None]:
    """Of so many schedules, each."""
    for schedule, only in islice(schedules(need), number):
        yield run(schedule, only).violation


def _kept(sent: Sent) -> set[bytes]:
    shown = (sent.ids[at : at + KEY_ID_BYTES] for at in range(0, len(sent.ids), KEY_ID_BYTES))
    return {kept_as(sent.master, key_id, foreign=False) for key_id in shown}
