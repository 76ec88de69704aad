"""What happens at the end of every schedule, and now and then before: faults cease, and everything must work again."""

from keyhop.testing.simulation.reach import exchange
from keyhop.testing.simulation.refreshing import refreshes
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.simulation.wires import FAIR
from keyhop.testing.violation import Violation

CALM_S = 3.0
"""Until what was delivered is known to the owner: a window and its mark."""
HEALED_WITHIN_S = 30.0
"""A connection that only one end has is found out after 8 seconds, and a KME that stopped is up again after 2."""
ON_ITS_WAY_S = 0.05
"""A mark takes less. Looks every second come at one moment of a tick, and at each of them a mark may be on its way."""
SETTLED_WITHIN_S = 150.0
"""A gateway asks for a void every minute at least, and may have to start anew meanwhile."""
OFFERED_AGAIN_S = 2.5
"""Until both ends have given up blocks that only one of them has: the next block of the link tells them."""


def calm(sim: Simulation) -> None:
    """Faults end; within bounded time the network is in step again by itself. Raises Violation."""
    _cease(sim)
    began = sim.loop.now
    sim.run(CALM_S)
    while (apart := sim.watch.apart()) is not None:
        if sim.loop.now - began > HEALED_WITHIN_S:
            sim.run(ON_ITS_WAY_S)
            if (apart := sim.watch.apart()) is None:
                break
            sim.violated(Violation(0, f"after all faults have ended, {apart}"))
        sim.run(1.0)
    sim.restored.clear()
    sim.calm_at = sim.loop.now
    sim.trace.note(sim.loop.now, "", "calm")


def works(sim: Simulation) -> None:
    """After calm and new link blocks, keys can be exchanged in all directions. Raises Violation."""
    calm(sim)
    for number in range(7):
        sim.produce_everywhere(2048)
        sim.run(0.1 if number else OFFERED_AGAIN_S)
    exchange(sim, [direction for a, b in sim.sites.pairs for direction in ((a, b), (b, a))])
    refreshes(sim)
    _settles(sim)
    sim.watch.held(sim.loop.now, sim.saes)
    sim.saes.check()
    sim.check()


def _settles(sim: Simulation) -> None:
    """Gateways come to know what became of all keys that they handed over."""
    began = sim.loop.now
    while sim.sites.joint and (unsettled := sim.watch.unsettled()) is not None:
        if sim.loop.now - began > SETTLED_WITHIN_S:
            sim.violated(Violation(0, f"after all faults have ended, {unsettled}"))
        sim.run(2.0)


def _cease(sim: Simulation) -> None:
    sim.wires.weather = FAIR
    sim.wires.blocked.clear()
    sim.wires.ambushes.clear()
    for a, b in sim.sites.links:
        sim.start_link(a, b)
    for machine in sim.machines.values():
        machine.down_until = 0.0
        machine.start()
        machine.power.in_points = machine.power_in_start = machine.disk.fault = None
        machine.frozen_until = 0.0
        machine.reconfigure()
        machine.thaw()
