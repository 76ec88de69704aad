"""Every promise holds under any schedule of requests and faults that hypothesis can think of.

KEYHOP_SIMULATION_EXAMPLES runs more schedules than CI does.
"""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from keyhop.testing.simulation import ACTIONS, Choose, Simulation, wander

EXAMPLES = int(os.environ.get("KEYHOP_SIMULATION_EXAMPLES", "0"))


class Promises(RuleBasedStateMachine):
    """Each rule is one of the actions; hypothesis draws what an action leaves open."""

    simulation: Simulation

    @initialize(seed=st.integers(0, 1 << 16))
    def begin(self, seed: int) -> None:
        self.simulation = Simulation(seed)

    def teardown(self) -> None:
        if hasattr(self, "simulation"):
            self.simulation.works()


def _rule(action: Callable[[Simulation, Choose], None]) -> Callable[[Promises, st.DataObject], None]:
    def act(self: Promises, data: st.DataObject) -> None:
        action(self.simulation, lambda n: data.draw(st.integers(0, n - 1)))
        self.simulation.check()

    act.__name__ = action.__name__
    return act


for _action in ACTIONS:
    setattr(Promises, _action.__name__, rule(data=st.data())(_rule(_action)))

TestPromises = Promises.TestCase
TestPromises.settings = settings(
    max_examples=EXAMPLES or 300,
    stateful_step_count=40,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("first", range(0, 100_000, 10_000))
def test_long_walks(first: int) -> None:
    """Walks with the actions' own frequencies get deeper than hypothesis does; a failing seed can be repeated."""
    for seed in range(first, first + (EXAMPLES or 30)):
        wander(seed, steps=100)
