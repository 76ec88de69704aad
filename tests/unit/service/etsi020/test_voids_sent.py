"""Voids that a KMS asks for on behalf of masters: when it may tell them that keys are void."""

import pytest
from kms_requests import ALICE, BEN, BOB, acks, fates, ok, transfer

from keyhop.core.ids import SaeId
from keyhop.service.etsi020.calls import ACK, VOID, Reply
from keyhop.service.etsi020.transfer import Saes
from keyhop.testing.kms import TwoKms

KEY = bytes([1]) * 16
type Told = list[frozenset[bytes] | None]


def asked_to_void(two: TwoKms, *targets: SaeId) -> Told:
    told: Told = []
    deadline = two.clock.monotonic() + 4.0
    two.near.interchange.recalling.void(Saes(ALICE, targets), (KEY,), deadline, told.append)
    return told


def relayed_and_voided(*targets: SaeId) -> tuple[TwoKms, Told]:
    """The void does not arrive."""
    two = TwoKms()
    assert two.near.send(transfer(1, targets=targets)) == []
    two.settle()
    assert fates(two.near, "sent") == ["relayed"]
    two.lose_calls.append(VOID)
    return two, asked_to_void(two, *targets)


@pytest.mark.parametrize("last", ["voided", "failed to void"])
def test_a_key_is_void_when_all_of_its_targets_say_so(last: str) -> None:
    two, told = relayed_and_voided(BOB, BEN)
    ok(two.near.ask(ACK, acks(1, "voided", "ben")))
    assert told == []
    ok(two.near.ask(ACK, acks(1, last, "bob")))
    two.settle()
    assert told == [frozenset([KEY] if last == "voided" else [])]
    assert fates(two.near, "sent") == ["voided" if last == "voided" else "relayed"]


def test_a_key_that_one_target_keeps_is_not_void_whatever_the_others_say() -> None:
    two, told = relayed_and_voided(BOB, BEN)
    ok(two.near.ask(ACK, acks(1, "failed to void", "bob")))
    ok(two.near.ask(ACK, acks(1, "voided", "ben")))
    two.settle()
    assert told == [frozenset()]
    assert fates(two.near, "sent") == ["relayed"]
    assert len(two.near.interchange.voiding) == 0


@pytest.mark.parametrize(
    ("body", "gone"), [(b"", None), (acks(1, "voided", "ben"), None), (acks(1, "voided", "bob"), [KEY])]
)
def test_200_to_a_void_is_worth_what_it_acknowledges(body: bytes, gone: list[bytes] | None) -> None:
    two, told = relayed_and_voided(BOB)
    two.answer_instead[VOID] = Reply(200, body)
    two.tick(6.0)
    assert told == [frozenset(gone) if gone else None]


def test_a_restart_forgets_not_that_a_slave_may_have_the_key() -> None:
    two, _ = relayed_and_voided(BOB)
    two.near.journal.flush()
    two.near.crash()
    told = asked_to_void(two, BOB)
    ok(two.near.ask(ACK, acks(1, "key not present", "bob")))
    two.settle()
    assert told == [frozenset()]
    assert fates(two.near, "sent") == ["relayed"]
