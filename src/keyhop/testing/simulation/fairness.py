"""A pair of SAEs that asks within its floor is served, although another one asks without end.

Looked at once a schedule, where everything works, between two neighbours that its seed names and with floors that are
full: there is twice as much stock as is reserved in all, because some may be kept for pads.
"""

from keyhop.core.ids import SaePair
from keyhop.core.streams import OwnedStream
from keyhop.core.units import UNIT_BYTES
from keyhop.service.requests import GetKey
from keyhop.testing.simulation.saes import Asked
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.violation import Violation

ROUND_S = 0.1
ROUNDS = 40
"""More than anything takes here."""
GREEDY_BITS = (8192, 8192, 8192, 1000, 64)
HONEST_BITS = 256


def floors(sim: Simulation) -> None:
    """Raises Violation. Says nothing where no stock is reserved, or some of it grows old meanwhile."""
    links, seed, reserved = sim.sites.links, sim.setting.seed, sim.setting.reserved_bytes_per_pair
    source, target = links[seed % len(links)][:: 1 if seed // len(links) % 2 else -1]
    masters, slaves = sim.sites.at(source), sim.sites.at(target)
    greedy, honest = (masters[0], slaves[0]), (masters[-1], slaves[-1])
    kme = sim.machines[source].kme
    if not reserved or sim.watch.aged(*honest) or kme is None:
        return
    stream = kme.peers[target].neighbour.owned
    expired = stream.ledger.expired
    _fill(sim, stream, 2 * reserved * len(masters) * len(slaves))
    _use_up(sim, greedy)
    asked = _ask_amid(sim, honest, reserved, greedy)
    if asked.keys is None and stream.ledger.expired == expired:
        sim.violated(Violation(0, f"{honest[0]} asks for what is reserved for it and {honest[1]}: {asked.answers}"))
        sim.check()


def _fill(sim: Simulation, stream: OwnedStream, stock_bytes: int) -> None:
    a, b = sorted((stream.ref.owner, stream.ref.follower))
    for _ in range(ROUNDS):
        if stream.stock_units * UNIT_BYTES >= stock_bytes:
            return
        sim.produce_block(a, b, 2048)
        sim.run(ROUND_S)


def _use_up(sim: Simulation, greedy: SaePair) -> None:
    """Until the pair gets nothing more."""
    for _ in range(ROUNDS):
        if not any(asked.keys for asked in _ask_on(sim, greedy)):
            return


def _ask_amid(sim: Simulation, honest: SaePair, size_bytes: int, greedy: SaePair) -> Asked:
    """Asks for so much, and waits for the answer while the other pair asks on."""
    asked = sim.get_key(GetKey(*honest, size_bytes * 8 // HONEST_BITS, HONEST_BITS))
    for _ in range(ROUNDS):
        if asked.answers:
            break
        _ask_on(sim, greedy)
    return asked


def _ask_on(sim: Simulation, greedy: SaePair) -> list[Asked]:
    """One round; what is not answered in it still waits in the next one."""
    asked = [sim.get_key(GetKey(*greedy, 1, bits)) for bits in GREEDY_BITS]
    sim.run(ROUND_S)
    return asked
