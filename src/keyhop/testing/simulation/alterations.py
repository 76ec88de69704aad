"""Somebody on the wire alters the records that one KME carries to another."""

import msgspec

from keyhop.core.ids import SaeId
from keyhop.network import wire
from keyhop.testing.simulation.doings import Choose, enc_for_several, flipped
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.simulation.wires import Message


def alter(sim: Simulation, choose: Choose) -> None:
    """Alters a Carry message on its way; the true one may come too."""
    carries = _carries(sim)
    for _ in range(4):
        if not carries:
            enc_for_several(sim, choose)
            sim.run(0.0025)
            carries = _carries(sim)
    if not carries:
        return
    true = carries[choose(len(carries))]
    assert isinstance(true.body, wire.Carry)
    variants = _variants(sim, true.body)
    body = variants[choose(len(variants))]
    envelope = msgspec.structs.replace(true.envelope, body=body)
    data = wire.encode(envelope)
    sim.history.altered(body)
    true.lost = bool(choose(2))
    sim.machines[true.source].note("altered", true.target, data)
    sim.wires.put(Message(true.source, true.target, true.connection, data, envelope))


def _carries(sim: Simulation) -> list[Message]:
    return [m for m in sim.wires.on_the_way if isinstance(m.body, wire.Carry) and not m.lost]


def _variants(sim: Simulation, message: wire.Carry) -> tuple[wire.Carry, ...]:
    sites, replace = sim.sites, msgspec.structs.replace
    target, source = sites.home[SaeId(message.slaves[0])], sites.home[SaeId(message.master)]
    others = tuple(sae for sae in sites.at(target) if sae not in message.slaves)
    master = next(sae for sae in sites.at(source) if sae != message.master)
    return (
        replace(message, sealed=flipped(message.sealed)),
        replace(message, ids=flipped(message.ids, 1)),
        replace(message, tag=flipped(message.tag)),
        replace(message, slaves=others or message.slaves[:1], tag=message.tag if others else bytes(16)),
        replace(message, master=master),
        replace(message, pad=message.pad + 1),
        replace(message, pad=max(message.pad - 4, 0)),
        replace(message, ids=message.ids + flipped(message.ids, 2), sealed=message.sealed * 2),
    )
