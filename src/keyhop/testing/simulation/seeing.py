"""What is seen of a run from outside, told to those who check: messages, and answers that are no errors."""

from functools import partial
from typing import TYPE_CHECKING

from keyhop.core.ids import KEY_ID_BYTES, SaeId, each_id
from keyhop.core.record_ids import chosen_record_id
from keyhop.core.streams import OwnedStream, StreamRef
from keyhop.core.units import units_for
from keyhop.network import wire
from keyhop.network.hybrid.combining import use_of
from keyhop.network.peer import Peer
from keyhop.network.psk.messages import PskProposed
from keyhop.network.relay.messages import OfRelay
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys, InsertKeys, KeyRun, Keys, VoidedKeys, VoidKeys
from keyhop.testing.history import Holds, record_name
from keyhop.testing.simulation.marks import Marks, marks_of
from keyhop.testing.simulation.saes import Asked, Success, ids_of
from keyhop.testing.simulation.setting import LIFETIME_S
from keyhop.testing.simulation.wires import Message
from keyhop.testing.violation import Violation

if TYPE_CHECKING:
    from keyhop.testing.simulation.simulation import Simulation

OF_BYTES = (wire.Carry, OfRelay, PskProposed)
"""What is sent under a pad, and what is said of that; and of bytes for another generation of a peer's key."""


class Seeing:
    """Of one simulation."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim = sim
        self._marks = Marks(sim.sites.home)

    def transmitted(self, message: Message) -> None:
        """A KME sent a message."""
        sim = self._sim
        sim.trace.counts[f"message {type(message.body).__name__}"] += 1
        if not isinstance(message.body, OF_BYTES):
            return
        ref = StreamRef(message.source, message.target, message.envelope.route)
        sim.watch.transmitted(ref, message.body)
        sim.noting(partial(sim.history.material.transmitted, ref, message.body))

    def got(self, asked: Asked, answer: Success) -> None:
        """An SAE got what it asked for."""
        match asked.request, answer:
            case GetKey() as request, Keys() as keys:
                self._audited(asked, request.master, ids_of(keys))
                self._sim.noting(partial(self._master_got, asked, request, keys))
            case GetKeyWithIds() as request, Keys() as keys:
                self._audited(asked, request.slave, ids_of(keys))
                self._sim.watch.got(asked.request, keys)
                self._sim.noting(partial(self._sim.history.slave_got, request, keys, asked.at, self._sim.loop.now))
                policies = asked.policy, asked.machine.options.policy
                self._sim.noting(partial(self._marks.slave_got, request, keys, *policies))
            case InsertKeys() as request, InsertedKeys() as inserted:
                self._audited(asked, request.master, each_id(inserted.ids))
                self._sim.noting(partial(self._brought, asked, request, inserted))
            case VoidKeys() as request, VoidedKeys() as voided:
                self._sim.noting(partial(self._voided, asked, request, voided))
            case _:
                self._sim.violated(Violation(0, f"request {asked.number} is answered with something else"))

    def _audited(self, asked: Asked, sae: SaeId, ids: tuple[bytes, ...] | list[bytes]) -> None:
        if not all(asked.machine.audit.tells(sae, key_id) for key_id in ids):
            self._sim.violated(Violation(7, f"{sae} gets, or brings, keys of which the audit log says nothing"))

    def _master_got(self, asked: Asked, request: GetKey, keys: Keys) -> None:
        sim, slaves = self._sim, (request.slave, *request.additional_slaves)
        sim.watch.got(request, keys)
        self._marks.master_got(request, keys, asked.policy)
        sim.trace.counts.update(f"key {mark}" for mark in marks_of(keys))
        self._place(asked, request, keys)
        sim.history.master_got(request, keys, sim.loop.now, self._holds(asked, request.master, slaves))
        for run in keys.runs:
            self._crossed(request.master, slaves, run.ids, run.material.reveal())
        self._need_not_be_held(asked, slaves, ids_of(keys))

    def _brought(self, asked: Asked, request: InsertKeys, inserted: InsertedKeys) -> None:
        sim, slaves = self._sim, (request.slave, *request.additional_slaves)
        names = [record_name(request.master, key_id) for key_id in each_id(inserted.ids)]
        gone = any(sim.saes.may_be_gone[name, slave] for name in names for slave in slaves)
        holds = None if gone else self._holds(asked, request.master, slaves)
        sim.history.brought(request, inserted, sim.loop.now, holds)
        self._crossed(request.master, slaves, inserted.ids, request.keys.reveal())
        self._need_not_be_held(asked, slaves, names)

    def _crossed(self, master: SaeId, slaves: tuple[SaeId, ...], ids: bytes, keys: bytes) -> None:
        """Keys that may be for SAEs of another domain too."""
        sites, material = self._sim.sites, self._sim.history.material
        if any(sites.is_foreign(sites.home[master], slave) for slave in slaves):
            self._sim.history.handed_over.master_got(master, each_id(ids))
            material.trace_pad(b"".join(chosen_record_id(master, key_id) for key_id in each_id(ids)), keys)

    def _voided(self, asked: Asked, request: VoidKeys, voided: VoidedKeys) -> None:
        self._sim.history.voided(request, voided, self._sim.loop.now)
        for key_id, is_void in zip(each_id(request.ids), voided.voided, strict=True):
            if not is_void and self._could_be_voided(asked, request, key_id):
                self._sim.violated(Violation(0, "a key cannot be voided although nobody has asked for it"))

    def _could_be_voided(self, asked: Asked, request: VoidKeys, key_id: bytes) -> bool:
        """Whether all slaves' KMEs must have had that key until then."""
        sim, slaves = self._sim, (request.slave, *request.additional_slaves)
        name = record_name(request.master, key_id)
        seen = sim.history.keys.get(name)
        if seen is None or seen.master != request.master or set(slaves) != set(seen.slaves):
            return False
        if any(sim.sites.is_foreign(sim.sites.home[request.master], slave) for slave in slaves):
            return False  # the other domain says so too when its KME cannot tell at the moment
        if sim.watch.ever_restored or seen.got_at > asked.at or seen.got_at < sim.loop.now - LIFETIME_S / 2:
            return False
        if any(sim.watch.aged(request.master, slave) for slave in slaves):
            return False
        return all(sim.saes.may_be_gone[name, slave] == 1 for slave in slaves)  # which is this request

    def _holds(self, asked: Asked, master: SaeId, slaves: tuple[SaeId, ...]) -> Holds | None:
        aged = any(self._sim.watch.aged(master, slave) for slave in slaves)
        return None if aged or self._repaired_since(asked) else self._sim.watch.holds

    def _need_not_be_held(
        self, asked: Asked, slaves: tuple[SaeId, ...], names: tuple[bytes, ...] | list[bytes]
    ) -> None:
        """While a KME is under repair."""
        if self._repaired_since(asked):
            self._sim.saes.may_be_gone.update((name, slave) for name in names for slave in slaves)

    def _repaired_since(self, asked: Asked) -> bool:
        """Whether a KME was restored to a copy while that was under way, or is not in step again: its copy may be from
        before what it kept of that."""
        return bool(self._sim.restored) or asked.at <= self._sim.restored_at

    def _place(self, asked: Asked, request: GetKey, keys: Keys) -> None:
        """Notes where in which stream a master's keys are."""
        kme = asked.machine.kme
        peer = kme.peers.get(self._sim.sites.home[request.slave]) if kme else None
        if peer is None:
            return
        for run in keys.runs:
            for stream in (pair.owned for pair in peer.pairs if pair.owned.key_ids):
                assert stream.key_ids is not None
                key_id = run.ids[:KEY_ID_BYTES]
                located = stream.key_ids.locate(key_id)
                bound = stream.key_ids.pair(request.master, request.slave, _use(peer, stream, run))
                if located and bound.recognises(key_id, located):
                    units = units_for(run.size_bytes) * run.count
                    given = self._sim.history.material.given
                    given(stream.ref, stream.epoch, located.position, units, key_id)


def _use(peer: Peer, stream: OwnedStream, run: KeyRun) -> bytes:
    """To what an ID is bound beside its SAEs: to a secret that its KME has at this moment."""
    if run.mark is None or run.mark == "expanded":
        return b""
    secret = next(pair.hybrid.secret for pair in peer.pairs if pair.owned is stream)
    return use_of(run.mark, secret) if secret else b""
