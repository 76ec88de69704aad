"""Acknowledgements: which of them may be under way together, and how often they are tried."""

import json

import pytest

from keyhop.core.ids import KmeId, SaeId, key_id_text
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.service.etsi020.acknowledgements import FIRST_RETRY_S, MAX_CALLS, Acknowledgements
from keyhop.service.etsi020.calls import Call, Reply
from keyhop.service.etsi020.models import MAX_KEYS, AckStatus
from keyhop.service.etsi020.transfer import Saes
from keyhop.testing.audit import MemoryAudit
from keyhop.testing.virtual import VirtualClock

SAES = Saes(SaeId("a"), (SaeId("b"),))


class Owing:
    """One who owes acknowledgements; `calls` are those that it has made and that nobody has answered."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.calls: list[Call] = []
        self.store = MemoryStore()
        self.journal = Journal(self.store, lambda: None, MemoryAudit(self.clock))
        self.acknowledgements = Acknowledgements(
            KmeId("far"), self.store, self.journal, self.clock, self.calls.append, 3600.0, draft=False
        )

    def owe(self, status: AckStatus, *numbers: int, to: str = "https://far/ack") -> None:
        self.acknowledgements.owe(to, status, SAES, tuple(n.to_bytes(16) for n in numbers))
        self.journal.flush()

    def told(self) -> list[list[tuple[str, list[str]]]]:
        bodies = [json.loads(call.body or b"") for call in self.calls]
        return [
            [(ack["ack_status"], [key["key_id"] for key in ack["key_id_container"]]) for ack in body] for body in bodies
        ]

    def answer(self, status: int | None) -> None:
        """To all that are under way."""
        calls = self.calls[:]
        self.calls.clear()
        for call in calls:
            call.answered(None if status is None else Reply(status))
        self.journal.flush()


def key(number: int) -> str:
    return key_id_text(number.to_bytes(16))


def test_those_of_other_keys_do_not_wait() -> None:
    owing = Owing()
    owing.owe("relayed", 1)
    owing.owe("relayed", 2)
    assert owing.told() == [[("relayed", [key(1)])], [("relayed", [key(2)])]]


def test_those_of_one_key_arrive_in_their_order() -> None:
    owing = Owing()
    owing.owe("relayed", 1, 2)
    owing.owe("voided", 2, 3)
    owing.owe("voided", 3)
    owing.owe("voided", 4)
    assert owing.told() == [[("relayed", [key(1), key(2)])], [("voided", [key(4)])]]
    owing.answer(200)
    assert owing.told() == [[("voided", [key(2), key(3)]), ("voided", [key(3)])]]
    owing.answer(200)
    assert len(owing.acknowledgements) == len(owing.calls) == 0


def test_so_many_calls_at_once_and_the_others_together_afterwards() -> None:
    owing = Owing()
    for number in range(MAX_CALLS + 3):
        owing.owe("relayed", number)
    owing.owe("relayed", 100, to="https://far/elsewhere")
    assert len(owing.calls) == MAX_CALLS
    owing.answer(200)
    late = [("relayed", [key(number)]) for number in range(MAX_CALLS, MAX_CALLS + 3)]
    assert owing.told() == [late, [("relayed", [key(100)])]]
    assert [call.target for call in owing.calls] == ["https://far/ack", "https://far/elsewhere"]


def test_a_call_is_no_larger_than_we_would_take() -> None:
    owing = Owing()
    owing.acknowledgements.owe("https://far/ack", "relayed", SAES, tuple(n.to_bytes(16) for n in range(MAX_KEYS - 1)))
    owing.acknowledgements.owe("https://far/ack", "relayed", SAES, tuple(n.to_bytes(16) for n in range(5000, 5002)))
    owing.journal.flush()
    assert [sum(len(keys) for _, keys in acks) for acks in owing.told()] == [MAX_KEYS - 1, 2]


def test_calls_that_fail_together_are_one_attempt() -> None:
    owing = Owing()
    for number in range(8):
        owing.owe("relayed", number)
    owing.answer(None)
    owing.clock.advance(FIRST_RETRY_S - 0.01)
    owing.acknowledgements.tick()
    assert owing.calls == []
    owing.clock.advance(0.02)
    owing.acknowledgements.tick()
    assert sum(map(len, owing.told())) == 8


def test_nothing_is_owed_twice_but_what_is_under_way_may_be_lost() -> None:
    owing = Owing()
    for _ in range(5):
        owing.owe("voided", 1, 2)
    assert len(owing.acknowledgements) == 2
    owing.answer(200)
    owing.answer(200)
    assert len(owing.acknowledgements) == 0
    owing.owe("voided", 1, 2)
    assert len(owing.acknowledgements) == 1


def test_so_many_keys_are_owed_and_the_oldest_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyhop.service.etsi020.acknowledgements.MAX_OWED", 10)
    owing = Owing()
    for number in range(5):
        owing.owe("voided", *range(number * 4, number * 4 + 4), to=f"https://far/{number}")
    assert len(owing.acknowledgements) == 2
    restarted = Acknowledgements(
        KmeId("far"), owing.store, owing.journal, owing.clock, owing.calls.append, 3600.0, draft=False
    )
    restarted.owe("https://far/last", "voided", SAES, tuple(n.to_bytes(16) for n in range(100, 107)))
    assert len(restarted) == 1


def test_what_is_looked_at_for_a_call_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyhop.service.etsi020.acknowledgements.MAX_LOOKED_AT", 3)
    owing = Owing()
    owing.owe("relayed", 1)
    for status in ("voided", "failed to void"):
        owing.owe(status, 1)
    owing.owe("relayed", 2)
    assert owing.told() == [[("relayed", [key(1)])]]
    owing.answer(200)
    assert owing.told() == [[("voided", [key(1)]), ("failed to void", [key(1)]), ("relayed", [key(2)])]]
