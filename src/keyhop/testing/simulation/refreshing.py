"""Where everything works, the keys that authenticate KMEs to each other are refreshed, and no session ends of that."""

from keyhop.core.ids import KmeId
from keyhop.testing.simulation.reach import may_be_served
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.simulation.sites import Wire
from keyhop.testing.violation import Violation

REFRESHED_WITHIN_S = 24.0
"""Bytes for it are asked for every five seconds, and a refresh is four seconds old then at least."""


def refreshes(sim: Simulation) -> None:
    """Says nothing of KMEs that may disagree on what is too old, nor of any to which bytes may be relayed over such a
    one. Raises Violation."""
    if sim.setting.psk_refresh_s is None:
        return
    aged = {name for name, machine in sim.machines.items() if machine.aged}
    wires = [pair for pair in sim.sites.wires if not aged or pair[1] in sim.sites.neighbours(pair[0])]
    pairs = [pair for pair in wires if may_be_served(sim, *pair) and not aged.intersection(pair)]
    before = {pair: _in_use(sim, *pair) for pair in pairs}
    sessions, until = _sessions(sim), sim.loop.now + REFRESHED_WITHIN_S
    while late := [pair for pair in pairs if _in_use(sim, *pair) <= before[pair] or not _alike(sim, pair)]:
        if sim.loop.now > until:
            sim.violated(Violation(0, f"the key between {late[0][0]} and {late[0][1]} is not refreshed any more"))
        sim.produce_everywhere(2048)
        sim.run(1.0)
    if _sessions(sim) != sessions:
        sim.violated(Violation(0, "a session has ended, and nothing but a refresh has happened"))
    sim.check()


def _sessions(sim: Simulation) -> list[int]:
    """By their numbers."""
    kmes = [machine.kme for machine in sim.machines.values() if machine.kme]
    return [pair.session.number for kme in kmes for pair in kme.pairs()]


def _alike(sim: Simulation, pair: Wire) -> bool:
    return _in_use(sim, *pair) == _in_use(sim, *pair[::-1])


def _in_use(sim: Simulation, me: KmeId, peer: KmeId) -> int:
    kme = sim.machines[me].kme
    psk = kme.peers[peer].psk if kme else None
    return psk.in_use if psk else 0
