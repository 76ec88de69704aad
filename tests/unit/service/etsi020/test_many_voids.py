"""Many keys that another KMS does not void for long: they cost it few calls, and this one no time."""

import sys
from typing import Any

import pytest
from kms_requests import ALICE, BEN, BOB, fates, transfer

from keyhop.core.ids import SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.etsi020.calls import EXT_KEYS, VOID, Reply
from keyhop.service.etsi020.transfer import Saes, Transfer
from keyhop.service.etsi020.voiding import MAX_CALLS
from keyhop.testing.kms import TwoKms

AWAY = Reply(503)


def key_ids(*numbers: int) -> tuple[bytes, ...]:
    return tuple(bytes([n]) * 16 for n in numbers)


def given_up(count: int, *, saes: int = 1) -> TwoKms:
    """So many keys, one by one, for that many masters; the other KMS is there, and serves nothing."""
    two = TwoKms()
    two.answer_instead = {EXT_KEYS: AWAY, VOID: AWAY}
    for n in range(count):
        of = Saes(SaeId(f"alice{n % saes}"), (BOB,))
        key = Transfer(of, (n.to_bytes(16),), (KeyMaterial(bytes(32)),))
        two.near.interchange.sending.send(key, two.clock.monotonic() + 1.0, lambda outcome: None)
    two.tick(2.0)
    assert len(two.near.interchange.voiding) == count
    return two


def test_those_of_the_same_saes_are_asked_for_together() -> None:
    two = given_up(300)
    two.answer_instead.clear()
    before = two.calls.count(VOID)
    two.tick(120.0)
    assert len(two.near.interchange.voiding) == 0
    assert two.calls.count(VOID) - before <= 4


def test_nobody_looks_through_all_of_them_time_and_again() -> None:
    calls = 0

    def counted(frame: object, event: str, argument: object) -> Any:
        nonlocal calls
        calls += event == "call"

    two = given_up(600, saes=300)
    while two.calls:
        two.calls.clear()
        two.tick()
    two.clock.advance(0.05)
    sys.setprofile(counted)
    try:
        two.near.interchange.tick()
    finally:
        sys.setprofile(None)
    assert calls < 100 * MAX_CALLS
    assert len(two.near.interchange.voiding) == 600


def test_of_saes_without_such_keys_nothing_is_remembered() -> None:
    """A master may name slaves that there are not, where the operator has a pattern for those over there."""
    near = TwoKms().near.interchange
    for n in range(100):
        near.recalling.void(Saes(SaeId("alice"), (SaeId(f"bob{n}"),)), key_ids(n), 5.0, lambda gone: None)
    assert not near.voiding._voids._of_saes


def test_they_are_forgotten_with_the_keys() -> None:
    two = given_up(3)
    two.clock.advance(2 * 3600.0)
    two.tick(15.0)
    assert len(two.near.interchange.voiding) == 0
    two.calls.clear()
    two.tick(120.0)
    assert VOID not in two.calls


@pytest.mark.parametrize("relayed", [True, False])
def test_which_of_several_keys_are_not_there_counts_if_they_were_relayed(relayed: bool) -> None:
    two = TwoKms()
    if not relayed:
        two.answer_instead[EXT_KEYS] = AWAY
    two.near.send(transfer(1, 2, 3), wait_s=1.0)
    two.settle()
    two.answer_instead[VOID] = Reply(400)
    if relayed:
        told: list[frozenset[bytes] | None] = []
        deadline = two.clock.monotonic() + 4.0
        two.near.interchange.recalling.void(Saes(ALICE, (BOB,)), key_ids(1, 2, 3), deadline, told.append)
    two.tick(3.0)
    assert two.calls.count(VOID) == (4 if relayed else 1)
    assert fates(two.near, "sent") == [("relayed" if relayed else "voided")] * 3


def test_a_key_that_is_to_be_voided_for_others_is_so_once() -> None:
    two = given_up(2)
    two.near.interchange.voiding.void(Saes(SaeId("alice0"), (BOB, BEN)), ((0).to_bytes(16),))
    assert len(two.near.interchange.voiding) == 2
