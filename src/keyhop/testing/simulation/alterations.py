"""Somebody on the wire alters what is carried or relayed from one KME to another.

What is altered is what its receiver can prove: not the words "stored" and "refused", which only the session's TLS keeps
from being exchanged.
"""

from collections.abc import Callable
from functools import partial

import msgspec

from keyhop.core.ids import SaeId
from keyhop.network import wire
from keyhop.network.hybrid.records import Masked
from keyhop.network.relay.messages import (
    Announce,
    Contribution,
    Forward,
    OfRelay,
    PadPlace,
    RecordsPayload,
    Refused,
    Request,
    Stored,
    Stuck,
)
from keyhop.network.wire.words import Word
from keyhop.testing.simulation.doings import Choose, enc_for_several, enc_much, flipped
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.simulation.wires import Message

ALONG_PATHS: tuple[type[OfRelay], ...] = (Announce, Forward, Forward, Stored, Stuck)
AT_ONCE: tuple[type[OfRelay], ...] = (Announce, PadPlace, PadPlace, Contribution, Contribution, Request, Stored)
"""What is said of a parcel by either kind of strategy."""


def alter(sim: Simulation, choose: Choose) -> None:
    """Alters a message on its way, or two; the true ones may come too."""
    if sim.sites.relays and choose(4):
        kinds = AT_ONCE if sim.setting.terms.strategy == "xor-at-destination" else ALONG_PATHS
        for _ in range(2):
            sim.wires.ambushes.append((kinds[choose(len(kinds))], partial(_alter, sim, choose)))
        for _ in range(2):
            enc_much(sim, choose)
            sim.produce_everywhere(2048)
        return
    carries = _carries(sim)
    for _ in range(4):
        if not carries:
            enc_for_several(sim, choose)
            sim.run(0.0025)
            carries = _carries(sim)
    if carries:
        _alter(sim, choose, carries[choose(len(carries))])


def _alter(sim: Simulation, choose: Choose, true: Message) -> None:
    variants = _variants(sim, true)
    body = variants[choose(len(variants))]
    envelope = msgspec.structs.replace(true.envelope, body=body)
    data = wire.encode(envelope)
    sim.history.altered(_ids(sim, true.body) + _ids(sim, body))
    true.lost = bool(choose(2))
    sim.machines[true.source].note("altered", true.target, data)
    sim.trace.counts[f"altered {type(true.body).__name__}"] += 1
    sim.wires.put(Message(true.source, true.target, true.connection, data, envelope))


def _carries(sim: Simulation) -> list[Message]:
    return [m for m in sim.wires.on_the_way if isinstance(m.body, wire.Carry) and not m.lost]


def _ids(sim: Simulation, body: wire.Body | Word) -> bytes:
    """Of the records that it is about, as far as it says."""
    match body:
        case wire.Carry():
            return body.ids
        case Announce(payload=RecordsPayload() as payload):
            return payload.ids
    return b""


def _variants(sim: Simulation, true: Message) -> tuple[wire.Body, ...]:
    replace = msgspec.structs.replace
    match true.body:
        case wire.Carry() as carry:
            return _of_carry(sim, carry)
        case Announce() as announce:
            return _of_announce(sim, announce)
        case Forward() as forward:
            change = partial(replace, forward)
            return (
                *_of_pad(change, forward),
                change(sealed=flipped(forward.sealed)),
                change(sealed=flipped(forward.sealed, len(forward.sealed) - 1)),
                change(share=forward.share ^ 1),
                change(route=forward.route[::-1]),
                change(priority=forward.priority ^ 1),
            )
        case PadPlace() as place:
            return (
                *_of_pad(partial(replace, place), place),
                replace(place, source=true.target),
                replace(place, size=place.size + 8),
            )
        case Contribution() as part:
            return (
                replace(part, pads=flipped(part.pads)),
                replace(part, pads=flipped(part.pads, len(part.pads) - 1)),
                replace(part, parcel=flipped(part.parcel)),
            )
        case Request() as request:
            return (replace(request, size=request.size ^ 1), replace(request, parcel=flipped(request.parcel)))
        case Stored() as stored:
            return (Stored(flipped(stored.parcel)), Refused(stored.parcel, "altered"))
        case Stuck() as stuck:
            return (replace(stuck, parcel=flipped(stuck.parcel)), replace(stuck, share=stuck.share ^ 1))
    raise AssertionError("it cannot be altered")


def _of_pad[M: Forward | PadPlace](change: Callable[..., M], message: M) -> tuple[M, ...]:
    return (
        change(parcel=flipped(message.parcel)),
        change(tag=flipped(message.tag)),
        change(pad=message.pad + 1),
        change(pad=max(message.pad - 4, 0)),
    )


def _of_announce(sim: Simulation, message: Announce) -> tuple[wire.Body, ...]:
    replace = msgspec.structs.replace
    variants = [
        replace(message, parcel=flipped(message.parcel)),
        replace(message, check=flipped(message.check)),
        replace(message, key=flipped(message.key)),
        replace(message, size=message.size ^ 1),
    ]
    if message.masked:
        variants.append(replace(message, masked=flipped(message.masked, len(message.masked) - 1)))
    if isinstance(message.payload, RecordsPayload):
        payload = message.payload
        at = sim.sites.at(sim.sites.home[SaeId(payload.slaves[0])])
        others = tuple(sae for sae in at if sae not in payload.slaves) or payload.slaves * 2
        variants += [
            replace(message, payload=replace(payload, slaves=others)),
            replace(message, payload=replace(payload, ids=flipped(payload.ids, 1))),
            *(replace(message, payload=replace(payload, combined=c)) for c in _of_combined(payload.combined)),
        ]
    return tuple(variants)


def _of_carry(sim: Simulation, message: wire.Carry) -> tuple[wire.Body, ...]:
    sites, replace = sim.sites, msgspec.structs.replace
    target, source = sites.home[SaeId(message.slaves[0])], sites.home[SaeId(message.master)]
    others = tuple(sae for sae in sites.at(target) if sae not in message.slaves)
    master = next((sae for sae in sites.at(source) if sae != message.master), message.slaves[0])
    return (
        replace(message, sealed=flipped(message.sealed)),
        replace(message, ids=flipped(message.ids, 1)),
        replace(message, tag=flipped(message.tag)),
        replace(message, slaves=others or message.slaves[:1], tag=message.tag if others else bytes(16)),
        replace(message, master=master),
        replace(message, pad=message.pad + 1),
        replace(message, pad=max(message.pad - 4, 0)),
        replace(message, ids=message.ids + flipped(message.ids, 2), sealed=message.sealed * 2),
        *(replace(message, combined=combined) for combined in _of_combined(message.combined)),
    )


def _of_combined(masked: Masked | None) -> tuple[Masked | None, ...]:
    """How keys are combined with ML-KEM, if they are: with something else, or not at all."""
    return (None, msgspec.structs.replace(masked, masked=flipped(masked.masked))) if masked else ()
