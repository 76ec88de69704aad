"""Voids of another KMS: what was answered stays void, whatever is under way, comes late or crashes."""

import pytest
from kms_requests import ALICE, BEN, BOB, container, fates, ok, problem, void

from keyhop.core.ids import SaeId
from keyhop.service.etsi020.calls import EXT_KEYS, VOID
from keyhop.service.etsi020.transfer import Saes
from keyhop.testing.kms import TwoKms


def with_one_under_way() -> TwoKms:
    two = TwoKms()
    two.far.domain.holding = True
    ok(two.far.ask(EXT_KEYS, container(1)))
    return two


def test_what_a_void_that_waits_names_is_refused_at_once() -> None:
    two = with_one_under_way()
    assert ok(two.far.ask(VOID, void(1, 2))) == 202
    assert problem(two.far.ask(EXT_KEYS, container(2))).status == 400
    two.far.domain.release()
    two.settle()
    assert fates(two.far, "received") == ["voided", "voided"]
    assert not two.far.domain.held


def test_what_was_answered_with_202_holds_over_a_crash() -> None:
    two = with_one_under_way()
    two.far.domain.failure = "no path"
    two.far.domain.release()
    two.settle()
    ok(two.far.ask(EXT_KEYS, container(3)))
    assert ok(two.far.ask(VOID, void(1, 2, 3))) == 202
    two.far.crash()
    for number in (1, 2):
        assert problem(two.far.ask(EXT_KEYS, container(number))).status == 400


def test_what_was_refused_is_void_at_once_as_well() -> None:
    two = TwoKms()
    two.far.domain.refusal = "too many bytes of key"
    ok(two.far.ask(EXT_KEYS, container(1)))
    two.far.domain.refusal = None
    two.far.domain.holding = True
    ok(two.far.ask(EXT_KEYS, container(2)))
    assert ok(two.far.ask(VOID, void(1, 2))) == 202
    assert problem(two.far.ask(EXT_KEYS, container(1))).status == 400


def test_what_fails_while_a_void_waits_is_not_tried_again() -> None:
    two = TwoKms()
    two.far.domain.holding = True
    for number in (1, 2):
        ok(two.far.ask(EXT_KEYS, container(number)))
    ok(two.far.ask(VOID, void(1, 2)))
    first, second = two.far.domain._waiting
    two.far.domain._waiting.clear()
    two.far.domain.failure = "no path"
    first()
    two.far.domain.failure = None
    ok(two.far.ask(EXT_KEYS, container(1)))
    second()
    two.settle()
    assert two.far.domain.relays == 2
    assert fates(two.far, "received") == ["voided", "voided"]
    assert not two.far.domain.held


def test_what_is_under_way_is_not_forgotten() -> None:
    two = with_one_under_way()
    answers = two.far.ask(VOID, void(1, ack_callback_url=None))
    two.clock.advance(3601.0)
    two.tick(12.0)
    two.far.domain.release()
    two.settle()
    assert ok(answers)[0]["ack_status"] == "voided"
    assert not two.far.domain.held


def test_a_void_keeps_the_failed_keys_of_others() -> None:
    two = with_one_under_way()
    two.far.domain.failure = "no path"
    two.far.domain.release()
    two.settle()
    ok(two.far.ask(VOID, void(1, target_sae_ids=[SaeId("ben")])))
    assert fates(two.far, "received") == ["failed"]


def test_so_many_voids_wait_and_the_same_one_waits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyhop.service.etsi020.taking_back.MAX_OPEN", 2)
    two = with_one_under_way()
    for number in (2, 2, 2, 3, 3):
        assert ok(two.far.ask(VOID, void(1, number))) == 202
    assert problem(two.far.ask(VOID, void(1, 4))).status == 503
    assert bytes([4]) * 16 not in two.far.interchange.received
    two.far.domain.release()
    two.settle()
    assert ok(two.far.ask(VOID, void(1, 4))) == 202
    assert not two.far.domain.held


def test_one_void_of_everything_at_a_time() -> None:
    two = with_one_under_way()
    assert ok(two.far.ask(VOID, void(all_confirmation=True))) == 202
    assert problem(two.far.ask(VOID, void(all_confirmation=True))).status == 503
    assert ok(two.far.ask(VOID, void(1))) == 202
    two.far.domain.release()
    two.settle()
    assert ok(two.far.ask(VOID, void(all_confirmation=True))) == 202


def test_a_void_of_everything_means_what_is_not_void_yet_also_after_a_restart() -> None:
    two = TwoKms()
    both = ["bob", "ben"]
    ok(two.far.ask(EXT_KEYS, container(1, 2, 3, target_sae_ids=both)))
    ok(two.far.ask(EXT_KEYS, container(4)))
    ok(two.far.ask(VOID, void(1, target_sae_ids=both)))
    two.far.crash()
    everything = void(all_confirmation=True, ack_callback_url=None, target_sae_ids=both[::-1])
    for left in (2, 0):
        assert [len(ack["key_id_container"]) for ack in ok(two.far.ask(VOID, everything))] == [left]
    assert set(two.far.domain.held) == {bytes([4]) * 16}
    two.clock.advance(3601.0)
    two.tick(12.0)
    ok(two.far.ask(EXT_KEYS, container(5, target_sae_ids=both)))
    assert two.far.interchange.received.of(Saes(ALICE, (BOB, BEN))) == (bytes([5]) * 16,)
