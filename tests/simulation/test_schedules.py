"""Schedules that the simulation found to break a promise once, reduced to what matters."""

import msgspec
import pytest

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import SaeId
from keyhop.network import wire
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.simulation import ALICE, BOB, LIFETIME_S, Simulation

A1, B1, B2 = SaeId("a1"), SaeId("b1"), SaeId("b2")


@pytest.fixture
def simulation() -> Simulation:
    """Two KMEs with stock in both directions."""
    simulation = Simulation(0)
    for _ in range(8):
        block = simulation.random.randbytes(2048)
        simulation.produce_block(block, block)
        simulation.settle()
    simulation.pass_time(3.0)
    return simulation


def enc(simulation: Simulation, *extra: SaeId) -> bytes:
    answers = simulation.ask_for_keys(GetKey(A1, B1, additional_slaves=extra))
    simulation.settle()
    (answer,) = answers
    assert isinstance(answer, Keys)
    return answer.runs[0].ids


def dec(simulation: Simulation, key_id: bytes) -> Keys | KeyhopError:
    answers = simulation.ask_by_id(GetKeyWithIds(B1, A1, (key_id,)))
    simulation.settle()
    simulation.check()
    (answer,) = answers
    return answer


def test_a_lease_does_not_outlive_its_bytes(simulation: Simulation) -> None:
    simulation.pass_time(2 * LIFETIME_S + 1)
    block = simulation.random.randbytes(2048)
    for _ in range(2):
        simulation.produce_block(block, block)
        simulation.settle()
        block = simulation.random.randbytes(2048)
    assert isinstance(dec(simulation, enc(simulation)), Keys)


@pytest.mark.parametrize("extra", [(), (B2,)], ids=["stream", "record"])
def test_a_backup_made_inside_a_delivery_window_is_found_out(simulation: Simulation, extra: tuple[SaeId, ...]) -> None:
    first, second = enc(simulation, *extra), enc(simulation, *extra)
    assert isinstance(dec(simulation, first), Keys)
    simulation.copy(BOB)
    assert isinstance(dec(simulation, second), Keys)
    simulation.recover()
    simulation.restore(BOB, lambda n: n - 1)
    simulation.recover()
    assert isinstance(dec(simulation, second), KeyhopError)


def test_a_restored_follower_learns_what_was_taken(simulation: Simulation) -> None:
    simulation.copy(BOB)
    followed = simulation.kmes[BOB].pairs[ALICE].followed
    taken = followed.taken
    while followed.taken == taken:
        enc(simulation)
    while simulation.kmes[ALICE].pairs[BOB].owned.leased_units > followed.taken - taken:
        enc(simulation)
    used = enc(simulation)  # of what was leased since the copy
    simulation.pass_time(3.0)
    simulation.restore(BOB, lambda n: n - 1)
    simulation.recover()
    assert isinstance(dec(simulation, used), Keys)


def test_an_altered_batch_erases_nobodys_key(simulation: Simulation) -> None:
    used = enc(simulation)
    simulation.ask_for_keys(GetKey(A1, B1, additional_slaves=(B2,)))
    while not simulation._on_the_way or not isinstance(
        (envelope := wire.decode(simulation._on_the_way[-1][2])).body, wire.Carry
    ):
        simulation.step()
    source, target, _ = simulation._on_the_way.pop()
    assert isinstance(envelope.body, wire.Carry)
    altered = msgspec.structs.replace(envelope.body, pad=envelope.body.pad - 4)
    simulation._on_the_way.append((source, target, wire.encode(msgspec.structs.replace(envelope, body=altered))))
    simulation.settle()
    assert isinstance(dec(simulation, used), Keys)
