"""What one KME asks another to take back: how often, and for how much at once."""

from math import inf

import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.network.reclaiming import AT_ONCE, MOST_RESEND_S, RESEND_S, Gone, Keys, Reclaiming
from keyhop.network.wire import Body, Reclaim, Reclaimed
from keyhop.testing.virtual import SeededEntropy, VirtualClock

BOB = KmeId("bob")
IDS = bytes(range(16))
KEYS = Keys(SaeId("a"), (SaeId("b"),), IDS, spare_fetched=False)


class Asking:
    """Alice's end, whose peer answers nothing by itself."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.sent: list[Reclaim] = []
        self.told: list[bytes | None] = []
        self.reclaiming = Reclaiming(lambda kme, keys, gone: gone(None), BOB, self.clock, SeededEntropy(1), self._send)
        self.reclaiming.synchronised()

    def _send(self, body: Body) -> None:
        assert isinstance(body, Reclaim)
        self.sent.append(body)

    def pass_time(self, seconds: float) -> list[Reclaim]:
        """Returns what is sent at the end of it."""
        self.clock.advance(seconds)
        self.sent.clear()
        self.reclaiming.tick()
        return list(self.sent)


@pytest.fixture
def asking() -> Asking:
    return Asking()


def test_a_silent_peer_is_asked_less_and_less_often(asking: Asking) -> None:
    asking.reclaiming.reclaim(KEYS, inf, asking.told.append)
    patience = RESEND_S
    for _ in range(6):
        assert not asking.pass_time(patience - 0.1)
        assert len(asking.pass_time(0.2)) == 1
        patience = min(2 * patience, MOST_RESEND_S)
    assert patience == MOST_RESEND_S


def test_much_is_not_asked_again_all_at_once_and_all_of_it_has_its_turn(asking: Asking) -> None:
    for _ in range(3 * AT_ONCE):
        asking.reclaiming.reclaim(KEYS, inf, asking.told.append)
    again = [asking.pass_time(RESEND_S), asking.pass_time(0.1), asking.pass_time(0.1), asking.pass_time(0.1)]
    assert [len(each) for each in again] == [AT_ONCE, AT_ONCE, AT_ONCE, 0]
    assert len({message.call for each in again for message in each}) == 3 * AT_ONCE


def test_a_new_session_begins_with_what_was_not_answered(asking: Asking) -> None:
    asking.reclaiming.reclaim(KEYS, inf, asking.told.append)
    asking.reclaiming.interrupted()
    assert not asking.pass_time(2.0)
    asking.reclaiming.synchronised()
    assert len(asking.sent) == 1
    assert not asking.pass_time(RESEND_S)
    assert len(asking.pass_time(RESEND_S)) == 1


def test_nobody_is_asked_again_for_what_nobody_waits_for(asking: Asking) -> None:
    cancel = asking.reclaiming.reclaim(KEYS, inf, asking.told.append)
    (message,) = asking.sent
    cancel()
    cancel()
    assert not asking.pass_time(2.0)
    asking.reclaiming.answered(Reclaimed(message.call, IDS))
    assert asking.told == []


def test_a_peer_that_asks_for_much_at_once_makes_little_wait() -> None:
    waiting: list[Gone] = []
    told: list[Body] = []
    take_back = Reclaiming(
        lambda kme, keys, gone: waiting.append(gone), BOB, VirtualClock(), SeededEntropy(1), told.append
    )
    asked = [Reclaim(number.to_bytes(16), "b", ("a",), IDS, False) for number in range(2 * AT_ONCE)]
    for message in asked + asked:
        take_back.asked(message)
    assert len(waiting) == AT_ONCE
    waiting[0](None)
    waiting[1](IDS)
    assert told == [Reclaimed(asked[1].call, IDS)]
    for message in asked:
        take_back.asked(message)
    assert len(waiting) == AT_ONCE + 2


def test_a_question_that_waits_is_not_taken_up_once_more() -> None:
    waiting: list[Gone] = []
    take_back = Reclaiming(
        lambda kme, keys, gone: waiting.append(gone), BOB, VirtualClock(), SeededEntropy(1), lambda body: None
    )
    for _ in range(3):
        take_back.asked(Reclaim(bytes(16), "b", ("a",), IDS, False))
    assert len(waiting) == 1
