"""Whose records take how much of the room that is for all."""

from typing import NamedTuple

import pytest

from keyhop.core import record_room
from keyhop.core.ids import SaeId
from keyhop.core.record_room import RecordRoom


class Owner(NamedTuple):
    master: SaeId
    sender: str


def owner(master: str, sender: str = "kme") -> Owner:
    return Owner(SaeId(master), sender)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_room, "MAX_RECORDS", 8)


@pytest.mark.parametrize("masters", ["aaaaaaaa", "aabbccdd"])
def test_one_sender_has_as_many_as_are_left_for_all_others(masters: str) -> None:
    room = RecordRoom([])
    for master in masters:
        if room.has(SaeId(master), "alice", 1):
            room.take(owner(master, "alice"))
    assert room.has(SaeId("e"), "kme", 4)
    assert not room.has(SaeId("e"), "alice", 1)


def test_what_is_gone_leaves_room_and_nothing_else() -> None:
    room = RecordRoom([owner("a"), owner("b")])
    room.leave(owner("a"))
    room.leave(owner("b"))
    assert room.has(SaeId("a"), "kme", 8)
    assert not room._of_master
    assert not room._of_sender
