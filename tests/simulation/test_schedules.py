"""Schedules that the simulation found to break a promise once, reduced to what matters."""

import msgspec
import pytest

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.units import UNIT_BYTES
from keyhop.network import wire
from keyhop.network.windows import EXPECTED_S, Windows
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys, VoidKeys
from keyhop.testing.simulation import LIFETIME_S, Setting, Simulation
from keyhop.testing.simulation.backups import back_up, restore_one
from keyhop.testing.simulation.disk import DiskFault
from keyhop.testing.simulation.healing import calm
from keyhop.testing.simulation.saes import ids_of
from keyhop.testing.simulation.wires import Message

ALICE, BOB, CAROL, WEST = KmeId("alice"), KmeId("bob"), KmeId("carol"), KmeId("west")
A1, B1, B2, C1, W1 = SaeId("a1"), SaeId("b1"), SaeId("b2"), SaeId("c1"), SaeId("w1")


def begun(setting: Setting) -> Simulation:
    """KMEs with stock in all directions."""
    simulation = Simulation(setting)
    simulation.run(2.0)
    for _ in range(8):
        for a, b in simulation.sites.links:
            simulation.produce_block(a, b, 2048)
        simulation.run(0.1)
    simulation.run(3.0)
    return simulation


@pytest.fixture
def simulation() -> Simulation:
    return begun(Setting())


def enc(simulation: Simulation, *extra: SaeId) -> bytes:
    asked = simulation.get_key(GetKey(A1, B1, 1, additional_slaves=extra))
    simulation.run(0.1)
    assert asked.keys is not None
    return ids_of(asked.keys)[0]


def dec(simulation: Simulation, key_id: bytes) -> Keys | KeyhopError:
    asked = simulation.get_key_with_ids(GetKeyWithIds(B1, A1, key_id))
    simulation.run(0.1)
    (answer,) = asked.answers
    assert isinstance(answer, Keys | KeyhopError)
    return answer


def test_a_lease_does_not_outlive_its_bytes(simulation: Simulation) -> None:
    simulation.run(2 * LIFETIME_S + 1)
    for _ in range(2):
        simulation.produce_block(ALICE, BOB, 2048)
        simulation.run(0.1)
    assert isinstance(dec(simulation, enc(simulation)), Keys)


@pytest.mark.parametrize("extra", [(), (B2,)], ids=["stream", "record"])
def test_a_backup_made_inside_a_delivery_window_is_found_out(simulation: Simulation, extra: tuple[SaeId, ...]) -> None:
    first, second = enc(simulation, *extra), enc(simulation, *extra)
    assert isinstance(dec(simulation, first), Keys)
    back_up(simulation, BOB)
    assert isinstance(dec(simulation, second), Keys)
    calm(simulation)
    restore_one(simulation, BOB, lambda n: n - 1)
    calm(simulation)
    assert isinstance(dec(simulation, second), KeyhopError)


def test_a_restored_follower_learns_what_was_taken(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Windows, "expect", lambda self: None)  # a window that it had opened would end the epoch
    simulation.run(EXPECTED_S)
    back_up(simulation, BOB)
    bob = simulation.machines[BOB].kme
    assert bob is not None
    followed = bob.peers[ALICE].neighbour.followed
    taken = followed.taken
    used = enc(simulation)
    while followed.taken == taken:
        used = enc(simulation)
    used = enc(simulation)  # of what was leased since the copy
    simulation.run(3.0)
    restore_one(simulation, BOB, lambda n: n - 1)
    calm(simulation)
    assert isinstance(dec(simulation, used), Keys)


def test_a_master_may_get_a_key_that_was_lost_with_its_slaves_kme_while_it_waited_for_others() -> None:
    simulation = begun(Setting(network="joined", witness=True))
    back_up(simulation, BOB)
    simulation.run(3.0)
    simulation.wires.blocked.update(((WEST, ALICE), (ALICE, WEST)))
    asked = simulation.get_key(GetKey(W1, B1, 1, additional_slaves=(A1,)))
    bob = simulation.machines[BOB].kme
    assert bob is not None
    while not len(bob.records):
        simulation.run(0.01)
    simulation.run(0.1)
    restore_one(simulation, BOB, lambda n: n - 1)
    simulation.run(2.0)
    simulation.restored.clear()  # bob is in step again; what is cut off has nothing to do with it
    simulation.wires.blocked.clear()
    simulation.run(2.5)
    assert asked.keys is not None


def test_an_altered_batch_erases_nobodys_key(simulation: Simulation) -> None:
    used = enc(simulation)
    simulation.get_key(GetKey(A1, B1, 1, additional_slaves=(B2,)))
    while not any(isinstance(message.body, wire.Carry) for message in simulation.wires.on_the_way):
        simulation.run(0.0005)
    true = next(message for message in simulation.wires.on_the_way if isinstance(message.body, wire.Carry))
    assert isinstance(true.body, wire.Carry)
    true.lost = True
    body = msgspec.structs.replace(true.body, pad=true.body.pad - 4)
    envelope = msgspec.structs.replace(true.envelope, body=body)
    simulation.wires.put(Message(true.source, true.target, true.connection, wire.encode(envelope), envelope))
    simulation.run(0.1)
    assert isinstance(dec(simulation, used), Keys)


def test_what_a_failed_sync_left_in_the_cache_is_on_the_disk_before_anything_is_built_on_it() -> None:
    simulation = begun(Setting(disk="sqlite"))
    machine = simulation.machines[BOB]
    key_id = enc(simulation)
    machine.disk.fault = DiskFault.SYNC
    assert not isinstance(dec(simulation, key_id), Keys)
    calm(simulation)
    for _ in range(8):
        simulation.produce_block(ALICE, BOB, 2048)
        simulation.run(0.1)
    used = enc(simulation)
    machine.crash(power_cut=True)
    calm(simulation)  # what was acknowledged is still there: the watch compares
    assert isinstance(dec(simulation, used), Keys)
    simulation.close()


def test_a_node_whose_store_failed_stops_although_somebody_who_waits_has_something_to_undo() -> None:
    simulation = begun(Setting(network="triangle"))
    alice = simulation.machines[ALICE]
    assert alice.kme is not None
    while alice.kme.peers[CAROL].neighbour.owned.stock_units >= 8:  # no pad is left for what goes to carol
        simulation.get_key(GetKey(A1, C1, 8, 64))
        simulation.run(0.05)
    simulation.get_key(GetKey(A1, B1, 1, additional_slaves=(C1,)))
    simulation.run(0.1)  # bob has his copy
    alice.disk.fault = DiskFault.FULL
    simulation.produce_block(ALICE, BOB, 2048)
    simulation.run(0.5)
    assert alice.trace.counts["store failed"] == 1
    simulation.run(4.0)
    assert alice.life == 2


def test_a_node_whose_store_failed_stops_although_a_void_waits_for_a_delivery_window(simulation: Simulation) -> None:
    key_id = enc(simulation)
    bob = simulation.machines[BOB]
    simulation.wires.blocked.add((BOB, ALICE))
    simulation.run(2.5)
    simulation.void_keys(VoidKeys(A1, B1, key_id))
    simulation.run(0.1)
    late = simulation.get_key_with_ids(GetKeyWithIds(B1, A1, key_id))
    simulation.run(0.1)
    assert not late.answers
    bob.disk.fault = DiskFault.FULL
    simulation.produce_block(ALICE, BOB, 2048)
    simulation.run(0.5)
    assert bob.trace.counts["store failed"] == 1
    assert len(late.answers) == 1
    simulation.run(4.0)
    assert bob.life == 2


def test_keys_do_not_age_when_a_clock_is_set(simulation: Simulation) -> None:
    key_id = enc(simulation, B2)
    simulation.machines[BOB].clock.skew_s += 10 * LIFETIME_S
    simulation.run(6.0)
    assert isinstance(dec(simulation, key_id), Keys)


def test_a_record_lives_by_the_clock_of_the_kme_that_keeps_it(simulation: Simulation) -> None:
    alice = simulation.machines[ALICE]
    alice.clock.skew_s -= 10 * LIFETIME_S
    alice.crash(power_cut=False)
    calm(simulation)
    key_id = enc(simulation, B2)
    simulation.run(LIFETIME_S / 2)
    assert isinstance(dec(simulation, key_id), Keys)


def test_a_follower_leaves_it_to_the_owner_to_expire_what_he_has_not_taken(simulation: Simulation) -> None:
    bob = simulation.machines[BOB]
    bob.clock.skew_s += 10 * LIFETIME_S
    bob.crash(power_cut=False)
    calm(simulation)
    assert bob.kme is not None
    followed = bob.kme.peers[ALICE].neighbour.followed
    assert followed.available_bytes >= followed.untaken_units * UNIT_BYTES > 0


def test_an_owner_that_voids_is_understood_although_the_message_is_lost(simulation: Simulation) -> None:
    simulation.wires.blocked.add((ALICE, BOB))
    alice, bob = simulation.machines[ALICE].kme, simulation.machines[BOB].kme
    assert alice is not None
    assert bob is not None
    owned = alice.peers[BOB].neighbour.owned
    expired = owned.expire(float("inf"))
    assert expired is not None
    simulation.run(0.5)
    simulation.wires.blocked.clear()
    simulation.run(1.5)
    assert bob.peers[ALICE].neighbour.followed.taken == owned.taken
