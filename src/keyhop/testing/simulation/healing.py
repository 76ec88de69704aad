"""What happens at the end of every schedule, and now and then before: faults cease, and everything must work again."""

from keyhop.core.ids import KmeId
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.history import Violation
from keyhop.testing.simulation.saes import Asked, ids_of
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.simulation.wires import FAIR

CALM_S = 3.0
"""Until what was delivered is known to the owner: a window and its mark."""
HEALED_WITHIN_S = 30.0
"""A connection that only one end has is found out after 8 seconds, and a KME that stopped is up again after 2."""
OFFERED_AGAIN_S = 2.5
"""Until both ends have given up blocks that only one of them has: the next block of the link tells them."""
REQUESTS_FOR_OLD_BYTES = 40
"""How many requests it takes until an owner has used up what its follower took for old."""


def calm(sim: Simulation) -> None:
    """Faults end; within bounded time the network is in step again by itself. Raises Violation."""
    _cease(sim)
    began = sim.loop.now
    sim.run(CALM_S)
    while (apart := sim.watch.apart()) is not None:
        if sim.loop.now - began > HEALED_WITHIN_S:
            sim.violated(Violation(0, f"after all faults have ended, {apart}"))
        sim.run(1.0)
    sim.restored.clear()
    sim.calm_at = sim.loop.now
    sim.trace.note(sim.loop.now, "", "calm")


def works(sim: Simulation) -> None:
    """After calm and new link blocks, keys can be exchanged in all directions. Raises Violation."""
    calm(sim)
    for number in range(7):
        for a, b in sim.sites.wires:
            sim.produce_block(a, b, 2048)
        sim.run(0.1 if number else OFFERED_AGAIN_S)
    for a, b in sim.sites.wires:
        _exchange(sim, a, b)
        _exchange(sim, b, a)
    sim.watch.held(sim.loop.now, sim.saes)
    sim.saes.check()
    sim.check()


def _cease(sim: Simulation) -> None:
    sim.wires.weather = FAIR
    sim.wires.blocked.clear()
    for machine in sim.machines.values():
        machine.power.in_points = machine.power_in_start = machine.disk.fault = None
        machine.frozen_until = 0.0
        machine.thaw()


def _exchange(sim: Simulation, source: KmeId, target: KmeId) -> None:
    master, slave = sim.sites.at(source)[0], sim.sites.at(target)[0]
    aged = sim.watch.aged(master, slave)
    for _ in range(REQUESTS_FOR_OLD_BYTES if aged else 1):
        if aged:
            sim.produce_block(min(source, target), max(source, target), 2048)
        asked = sim.get_key(GetKey(master, slave, 16 if aged else 3, 1000))
        keys = _keys_of(sim, asked)
        fetched = sim.get_key_with_ids(GetKeyWithIds(slave, master, b"".join(ids_of(keys)))) if keys else asked
        if keys is not None and _keys_of(sim, fetched) is not None:
            return
    sim.violated(Violation(0, f"no keys for {slave} of {master} after healing: {fetched.answers}"))
    sim.check()


def _keys_of(sim: Simulation, asked: Asked) -> Keys | None:
    for _ in range(30):
        if asked.answers:
            break
        sim.run(0.1)
    return asked.keys
