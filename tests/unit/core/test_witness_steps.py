"""A store that is an old copy is told from the latest one, whatever else happened to it and to its witness."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from keyhop.core.errors import ConfigurationError, StoreFailure
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.store.base import Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.core.witness import Witness
from keyhop.core.witness.memory import MemoryWitness
from keyhop.core.witness.steps import STEP_S
from keyhop.testing.virtual import SeededEntropy, VirtualClock

ALICE = KmeId("alice")
KEY = Slot("stream", "a/b/owner")


class Machine:
    """A node's store, its witness and what may be done to them; `use` is anything that changes the store."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.keeper = MemoryWitness()
        self.clock = VirtualClock()
        self._used = 0

    def start(self, me: KmeId = ALICE) -> str | None:
        """Starts, on what the store holds; why that is not the latest, or None."""
        self.journal = Journal(self.store, lambda: None)
        self.witness = Witness(me, self.keeper, self.store, self.journal, self.clock, SeededEntropy(1))
        self.journal.flush()
        return self.witness.restored

    def use(self) -> None:
        self._used += 1
        self.journal.save(KEY, lambda: b"%d" % self._used)
        self.journal.flush()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.witness.tick()
        self.journal.flush()

    def stop(self) -> None:
        self.witness.end_step()
        self.journal.flush()

    def copy(self) -> MemoryStore:
        return MemoryStore(self.store.values)


@pytest.fixture
def machine() -> Machine:
    machine = Machine()
    machine.start()
    return machine


def crash(machine: Machine) -> None:
    """Nothing happens any more."""


@pytest.mark.parametrize("ends", [crash, Machine.stop])
def test_a_store_that_was_left_alone_is_taken_for_what_it_is(machine: Machine, ends: Callable[[Machine], None]) -> None:
    for _ in range(5):
        machine.use()
        machine.pass_time(0.7)
        ends(machine)
        assert machine.start() is None


def test_a_copy_from_before_a_use_is_found_out_a_second_later(machine: Machine) -> None:
    copy = machine.copy()
    machine.use()
    machine.pass_time(STEP_S)
    machine.store = copy
    assert machine.start() == "it is at step 1, and its witness has seen step 2"


def test_a_use_after_a_long_rest_ends_its_step_at_the_next_tick(machine: Machine) -> None:
    machine.pass_time(1000)
    copy = machine.copy()
    machine.use()
    machine.pass_time(0.1)
    machine.store = copy
    assert machine.start() is not None


def test_a_copy_from_before_a_graceful_stop_is_found_out_at_once(machine: Machine) -> None:
    copy = machine.copy()
    machine.use()
    machine.stop()
    stopped = machine.copy()
    machine.store = copy
    assert machine.start() is not None
    machine.keeper.statement = msgspec.msgpack.decode(stopped.values[Slot("witness", "step")], type=type(told(machine)))
    machine.store = stopped
    assert machine.start() is None


def test_while_nothing_changes_nothing_is_written(machine: Machine) -> None:
    before, step = machine.journal.commits, machine.witness.step
    for _ in range(50):
        machine.pass_time(0.1)
    assert (machine.journal.commits, machine.witness.step) == (before, step)


def test_a_step_is_not_ended_earlier(machine: Machine) -> None:
    for _ in range(9):
        machine.use()
        machine.pass_time(0.1)
    assert machine.witness.step == 1


def test_the_store_is_told_before_the_witness(machine: Machine) -> None:
    machine.use()
    machine.clock.advance(STEP_S)
    machine.witness.tick()
    assert told(machine).step == 1  # only a durable step is told
    machine.store.close()
    machine.journal.flush()
    assert told(machine).step == 1


@pytest.mark.parametrize("crashes", [1, 2, 5])
def test_a_crash_between_store_and_witness_is_no_restored_backup(machine: Machine, crashes: int) -> None:
    for _ in range(crashes):
        machine.use()
        machine.clock.advance(STEP_S)
        machine.witness.tick()
        machine.keeper.fails = True
        machine.journal.flush()
        machine.keeper.fails = False
        assert machine.start() is None


def test_crashes_at_the_start_do_not_add_up() -> None:
    machine = Machine()
    machine.start()
    for _ in range(5):
        machine.keeper.fails = True
        assert machine.start() is None
    machine.keeper.fails = False
    assert machine.start() is None


def test_once_found_out_the_store_goes_on_and_older_copies_are_found_out_too(machine: Machine) -> None:
    copies = []
    for _ in range(4):
        copies.append(machine.copy())
        machine.use()
        machine.pass_time(STEP_S)
    machine.store = MemoryStore(copies[1].values)
    assert machine.start() is not None
    assert machine.start() is None
    for copy in copies:
        machine.store = copy
        assert machine.start() is not None


def test_a_failing_witness_stops_the_node(machine: Machine) -> None:
    told: list[StoreFailure] = []
    machine.journal.on_failure.append(told.append)
    machine.use()
    machine.clock.advance(STEP_S)
    machine.keeper.fails = True
    machine.witness.tick()
    machine.journal.flush()
    assert [failure.message for failure in told] == ["the witness failed"]
    with pytest.raises(StoreFailure):
        machine.use()


def test_a_missing_witness_vouches_for_nothing(machine: Machine) -> None:
    machine.use()
    machine.pass_time(STEP_S)
    copy = machine.copy()
    machine.keeper.statement = None
    assert machine.start() == "its witness is missing"
    assert machine.start() is None
    for _ in range(5):  # whatever steps come, the copy never fits one of them
        machine.use()
        machine.pass_time(STEP_S)
        machine.store, latest = copy, machine.store
        assert machine.start() is not None
        machine.store = latest
        machine.keeper.statement = msgspec.msgpack.decode(
            latest.values[Slot("witness", "step")], type=type(told(machine))
        )
        machine.start()


def test_a_witness_that_was_set_back_itself_vouches_for_nothing(machine: Machine) -> None:
    early = told(machine)
    copies = []
    for _ in range(4):
        machine.use()
        machine.pass_time(STEP_S)
        copies.append(machine.copy())
    machine.store, machine.keeper.statement = MemoryStore(copies[1].values), early
    assert machine.start() == "it is at step 3, and its witness was itself set back, to step 1"
    assert machine.start() is None
    for copy in copies:
        machine.store = copy
        assert machine.start() is not None


def test_a_store_from_before_it_had_a_witness(machine: Machine) -> None:
    machine.store = MemoryStore({KEY: b"old"})
    assert machine.start() == "it is from before it had a witness"


def test_a_store_that_gets_its_first_witness_is_believed() -> None:
    machine = Machine()
    machine.store = MemoryStore({KEY: b"in stock"})
    assert machine.start() is None


def test_an_empty_store_goes_on_where_the_lost_one_was(machine: Machine) -> None:
    copies = []
    for _ in range(3):
        machine.use()
        machine.pass_time(STEP_S)
        copies.append(machine.copy())
    machine.store = MemoryStore()
    assert machine.start() is None
    for copy in copies:
        machine.store = copy
        assert machine.start() is not None


def test_the_witness_of_another_node_is_refused(machine: Machine) -> None:
    with pytest.raises(ConfigurationError, match="of the node alice"):
        machine.start(KmeId("bob"))


def test_the_witness_of_another_store_is_refused(machine: Machine) -> None:
    other = msgspec.structs.replace(told(machine), store=bytes(16))
    machine.keeper.statement = other
    with pytest.raises(ConfigurationError, match="another store"):
        machine.start()
    assert told(machine) == other


def told(machine: Machine) -> Any:
    assert machine.keeper.statement is not None
    return machine.keeper.statement
