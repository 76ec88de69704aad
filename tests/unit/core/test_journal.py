"""Effects happen only after the commit, and when it fails everybody who asked is told, once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.audit import event_record
from keyhop.core.errors import StoreFailure
from keyhop.core.journal import Journal
from keyhop.core.store.base import Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.testing.audit import MemoryAudit
from keyhop.testing.virtual import VirtualClock

SLOT = Slot("stream", "a")


class Desk:
    """A journal over a store that can be made to fail by closing it, and a list of what happened."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.wakes = 0
        self.audit = MemoryAudit(VirtualClock())
        self.journal = Journal(self.store, self._wake, self.audit)
        self.happened: list[str] = []

    def _wake(self) -> None:
        self.wakes += 1

    def then(self, name: str) -> None:
        self.journal.then(
            lambda: self.happened.append(f"{name} with {dict(self.store.values)}"),
            lambda failure: self.happened.append(f"{name} failed"),
        )


def test_an_effect_sees_everything_that_was_noted_already_durable() -> None:
    desk = Desk()
    desk.then("effect")
    desk.journal.save(SLOT, lambda: b"1")
    assert desk.happened == []
    desk.journal.flush()
    assert desk.happened == [f"effect with { ({SLOT: b'1'}) }"]
    assert desk.journal.commits == 1


def test_a_slot_noted_often_is_encoded_and_written_once_as_it_is_at_the_flush() -> None:
    desk, encoded, value = Desk(), list[bytes](), [b"1"]

    def encode() -> bytes:
        encoded.append(value[0])
        return value[0]

    for _ in range(5):
        desk.journal.save(SLOT, encode)
    value[0] = b"2"
    desk.journal.flush()
    desk.journal.flush()
    assert encoded == [b"2"]
    assert desk.journal.commits == 1
    assert desk.store.read(SLOT) == b"2"


def test_the_last_of_save_and_delete_wins() -> None:
    desk = Desk()
    desk.journal.save(SLOT, lambda: b"1")
    desk.journal.delete(SLOT)
    desk.journal.flush()
    assert desk.store.read(SLOT) is None
    desk.journal.delete(SLOT)
    desk.journal.save(SLOT, lambda: b"2")
    desk.journal.flush()
    assert desk.store.read(SLOT) == b"2"


def test_an_empty_value_is_a_value() -> None:
    desk = Desk()
    desk.journal.save(SLOT, lambda: b"")
    desk.journal.flush()
    assert desk.store.read(SLOT) == b""


def test_an_effect_without_writes_happens_without_a_commit() -> None:
    desk = Desk()
    desk.then("effect")
    desk.journal.flush()
    assert desk.happened == ["effect with {}"]
    assert desk.journal.commits == 0


def test_it_wakes_once_for_each_flush() -> None:
    desk = Desk()
    desk.journal.flush()
    assert desk.wakes == 0
    desk.journal.save(SLOT, lambda: b"1")
    desk.then("effect")
    assert desk.wakes == 1
    desk.journal.flush()
    desk.then("effect")
    assert desk.wakes == 2


def test_what_an_effect_notes_waits_for_the_next_flush_and_wakes_for_it() -> None:
    desk = Desk()

    def more() -> None:
        desk.journal.save(SLOT, lambda: b"2")
        desk.then("second")

    desk.journal.then(more)
    desk.journal.flush()
    assert desk.happened == []
    assert desk.wakes == 2
    desk.journal.flush()
    assert desk.happened == [f"second with { ({SLOT: b'2'}) }"]


def test_a_failed_commit_has_no_effect_and_tells_everyone_once() -> None:
    desk, told = Desk(), list[StoreFailure]()
    desk.journal.on_failure.append(told.append)
    desk.then("first")
    desk.journal.save(SLOT, lambda: b"1")
    desk.journal.then(lambda: desk.happened.append("untold"))
    desk.then("second")
    desk.store.close()
    desk.journal.flush()
    assert desk.happened == ["first failed", "second failed"]
    assert told == [desk.journal.failure]
    desk.journal.flush()
    assert desk.happened == ["first failed", "second failed"]
    assert len(told) == 1


def test_a_commit_that_breaks_for_another_reason_ends_the_journal_too() -> None:
    """Its writes are lost: going on, memory and store would differ, and a restart would use bytes again."""
    desk = Desk()

    def exhausted() -> bytes:
        raise MemoryError

    desk.journal.save(SLOT, exhausted)
    desk.then("first")
    desk.journal.flush()
    assert desk.happened == ["first failed"]
    assert isinstance(desk.journal.failure, StoreFailure)


def test_a_dead_journal_refuses_more() -> None:
    desk = Desk()
    desk.journal.save(SLOT, lambda: b"1")
    desk.store.close()
    desk.journal.flush()
    with pytest.raises(StoreFailure):
        desk.journal.save(SLOT, lambda: b"2")
    with pytest.raises(StoreFailure):
        desk.journal.delete(SLOT)
    with pytest.raises(StoreFailure):
        desk.then("late")


def test_what_a_dead_journal_refuses_it_does_not_keep() -> None:
    """Whoever catches the refusal answers for it himself: nobody shall be told a second time."""
    desk = Desk()
    desk.journal.fail(StoreFailure("unreadable"))
    with pytest.raises(StoreFailure):
        desk.then("late")
    with pytest.raises(StoreFailure):
        desk.journal.save(SLOT, lambda: b"2")
    desk.journal.flush()
    assert (desk.happened, desk.wakes) == ([], 0)


def test_effects_that_wait_when_somebody_else_finds_the_store_broken_are_told() -> None:
    desk, told = Desk(), list[StoreFailure]()
    desk.journal.on_failure.append(told.append)
    desk.journal.save(SLOT, lambda: b"1")
    desk.then("waiting")
    desk.journal.fail(StoreFailure("unreadable"))
    desk.journal.fail(StoreFailure("again"))
    desk.journal.flush()
    assert desk.happened == ["waiting failed"]
    assert [failure.message for failure in told] == ["unreadable"]
    assert desk.store.read(SLOT) is None


def test_one_who_is_told_may_ask_for_more_and_does_not_keep_the_others_from_being_told() -> None:
    desk = Desk()
    desk.journal.on_failure.append(lambda failure: desk.then("more"))
    desk.journal.on_failure.append(lambda failure: desk.happened.append("told"))
    desk.journal.then(lambda: None, lambda failure: desk.then("more"))
    desk.then("waiting")
    desk.journal.save(SLOT, lambda: b"1")
    desk.store.close()
    desk.journal.flush()
    assert desk.happened == ["told", "waiting failed"]


@given(st.lists(st.sampled_from(["save", "then", "flush", "break"]), max_size=30))
def test_every_effect_ends_exactly_once_and_only_with_its_writes(steps: list[str]) -> None:
    desk, ended = Desk(), list[tuple[int, bool]]()
    version = noted = 0

    def note(number: int, after: int) -> None:
        def happens() -> None:
            assert int(desk.store.values.get(SLOT, b"0")) >= after
            ended.append((number, True))

        desk.journal.then(happens, lambda failure: ended.append((number, False)))

    def encode() -> bytes:
        return str(version).encode()

    for step in [*steps, "flush"]:
        if desk.journal.failure is not None:
            break
        match step:
            case "save":
                version += 1
                desk.journal.save(SLOT, encode)
            case "then":
                note(noted, version)
                noted += 1
            case "flush":
                desk.journal.flush()
            case "break":
                desk.store.close()
    assert [number for number, _ in ended] == list(range(noted))
    outcomes = [durable for _, durable in ended]
    assert outcomes == sorted(outcomes, reverse=True)


def test_an_effect_that_breaks_does_not_keep_the_others_from_happening() -> None:
    desk = Desk()

    def breaks() -> None:
        raise ZeroDivisionError

    desk.then("first")
    desk.journal.then(breaks)
    desk.then("last")
    with pytest.raises(ExceptionGroup) as raised:
        desk.journal.flush()
    assert raised.group_contains(ZeroDivisionError)
    assert [what.partition(" ")[0] for what in desk.happened] == ["first", "last"]


def events(desk: Desk) -> list[str]:
    return [record["event"] for record in desk.audit.records()]


def test_records_are_written_after_the_commit_and_before_any_effect() -> None:
    desk, seen = Desk(), list[tuple[list[str], bytes | None]]()
    desk.journal.then(lambda: seen.append((events(desk), desk.store.read(SLOT))))
    desk.journal.record(event_record("one"))
    desk.journal.save(SLOT, lambda: str(events(desk)).encode())
    desk.journal.record(event_record("two"))
    assert events(desk) == []
    desk.journal.flush()
    assert seen == [(["one", "two"], b"[]")]
    desk.journal.flush()
    assert events(desk) == ["one", "two"]


def test_the_records_of_a_turn_are_one_write() -> None:
    desk = Desk()
    for event in ("one", "two", "three"):
        desk.journal.record(event_record(event))
    desk.journal.flush()
    assert desk.audit.written.count(b"seal") == 1
    assert desk.wakes == 1
    assert desk.journal.commits == 0


def test_a_failed_write_of_the_audit_log_has_no_effect_and_ends_the_journal() -> None:
    desk, told = Desk(), list[StoreFailure]()
    desk.journal.on_failure.append(told.append)
    desk.audit.failure = StoreFailure("the disk is full")
    desk.journal.save(SLOT, lambda: b"1")
    desk.journal.record(event_record("one"))
    desk.then("effect")
    desk.journal.flush()
    assert desk.happened == ["effect failed"]
    assert told == [desk.audit.failure]
    with pytest.raises(StoreFailure):
        desk.journal.record(event_record("two"))


def test_after_an_effect_that_fails_the_journal_the_others_are_told() -> None:
    desk = Desk()
    desk.then("before")
    desk.journal.then(lambda: desk.journal.fail(StoreFailure("the witness failed")))
    desk.then("after")
    desk.journal.flush()
    assert desk.happened == ["before with {}", "after failed"]


def test_what_could_not_be_committed_is_not_recorded() -> None:
    desk = Desk()
    desk.journal.save(SLOT, lambda: b"1")
    desk.journal.record(event_record("one"))
    desk.store.close()
    desk.journal.flush()
    assert events(desk) == []


def test_a_journal_without_an_audit_log_lets_nothing_out_that_has_a_record() -> None:
    happened = list[str]()
    journal = Journal(MemoryStore(), lambda: None)
    journal.record(event_record("one"))
    journal.then(lambda: happened.append("effect"))
    journal.flush()
    assert happened == []
    assert journal.failure is not None
