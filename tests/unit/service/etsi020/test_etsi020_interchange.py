"""Two KMSs hand keys to each other, whatever happens to calls, answers and processes."""

import base64
import json

import pytest
from kms_requests import BEN, BOB, acks, container, fates, ok, problem, transfer, void

from keyhop.core.ids import SaeId, key_id_text
from keyhop.core.keys import KeyMaterial
from keyhop.service.etsi020.calls import ACK, EXT_KEYS, VERSIONS, VOID, Answer, Reply
from keyhop.service.etsi020.problems import (
    KEY_NOT_PRESENT,
    KEY_ROUTING_ERROR,
    MISSING_PARAMETERS,
    UNSUPPORTED_MANDATORY_EXTENSION,
    Problem,
)
from keyhop.testing.kms import TwoKms


def test_keys_are_good_once_relayed() -> None:
    two = TwoKms()
    two.far.domain.holding = True
    outcomes = two.near.send(transfer(1, 2))
    two.settle()
    assert outcomes == []
    assert two.calls.count(EXT_KEYS) == 1
    two.far.domain.release()
    two.settle()
    assert outcomes == [None]
    assert two.far.domain.key(bytes([2]) * 16) == KeyMaterial(bytes([2]) * 32)
    assert two.near.outcomes() == {("sent", "handed over"): 2, ("sent", "relayed"): 2}
    assert two.far.outcomes() == {("received", "handed over"): 2, ("received", "relayed"): 2}


def test_both_write_into_their_audit_logs_before_bytes_leave() -> None:
    two = TwoKms()
    two.near.send(transfer(7))
    two.near.journal.flush()
    assert EXT_KEYS not in two.calls
    events = [record["event"] for record in two.near.audit.records()]
    assert events == ["etsi020 keys sent: handed over"]
    two.settle()
    (record,) = [r for r in two.far.audit.records() if r["event"] == "etsi020 keys received: relayed"]
    assert (record["peer"], record["ids"], record["targets"]) == ("near", "07" * 16, "bob")


def test_synchronous_calls_only_where_the_other_can() -> None:
    two = TwoKms(synchronous=True)
    outcomes = two.near.send(transfer(1))
    two.settle()
    assert outcomes == [None]
    assert ACK not in two.calls


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", acks(2, "relayed", "bob"), acks(1, "relayed", "ben")])
def test_200_to_an_asynchronous_call_does_not_say_relayed(body: bytes) -> None:
    two = TwoKms()
    two.answer_instead[EXT_KEYS] = Reply(200, body)
    outcomes = two.near.send(transfer(1))
    two.tick(9.0)
    assert outcomes == []
    assert two.calls.count(EXT_KEYS) > 1
    two.tick(2.0)
    assert outcomes == ["it was not acknowledged in time"]


@pytest.mark.parametrize("status", ["relayed", "failed"])
def test_200_with_acknowledgements_says_what_they_say(status: str) -> None:
    two = TwoKms()
    two.answer_instead[EXT_KEYS] = Reply(200, acks(1, status, "bob"))
    outcomes = two.near.send(transfer(1))
    two.settle()
    assert outcomes == [None if status == "relayed" else "KMS far says failed"]


def test_a_lost_request_and_a_lost_answer_cost_a_retry_and_no_second_relay() -> None:
    for lost in ("lose_calls", "lose_answers"):
        two = TwoKms()
        getattr(two, lost).append(EXT_KEYS)
        outcomes = two.near.send(transfer(1))
        two.tick(2.0)
        assert outcomes == [None]
        assert two.far.domain.relays == 1


def test_a_lost_acknowledgement_comes_again() -> None:
    two = TwoKms()
    two.lose_calls.append(ACK)
    outcomes = two.near.send(transfer(1))
    two.settle()
    assert outcomes == []
    two.tick(1.0)
    assert outcomes == [None]
    assert len(two.far.interchange.acknowledgements) == 0


def test_without_acknowledgement_the_request_is_repeated_and_then_voided() -> None:
    two = TwoKms()
    two.far.domain.holding = True
    outcomes = two.near.send(transfer(1), wait_s=10.0)
    two.tick(9.5)
    assert outcomes == []
    assert two.calls.count(EXT_KEYS) == 3
    two.tick(1.0)
    assert outcomes == ["it was not acknowledged in time"]
    two.far.domain.release()  # too late: relayed, and taken back again
    two.tick(2.0)
    assert not two.far.domain.held
    assert fates(two.far, "received") == fates(two.near, "sent") == ["voided"]
    assert two.near.outcomes()["sent", "voided"] == 1


def test_a_void_is_asked_for_until_the_other_answers() -> None:
    two = TwoKms()
    two.lose_answers.extend([EXT_KEYS] * 10)
    two.far.domain.holding = True
    two.near.send(transfer(1), wait_s=1.0)
    two.tick(0.75)
    two.cut()
    two.tick(200.0)
    assert two.calls.count(VOID) >= 5
    assert len(two.near.interchange.voiding) == 1
    two.far.domain.release()
    two.cut(False)
    two.tick(70.0)
    assert len(two.near.interchange.voiding) == 0
    assert not two.far.domain.held


def test_a_refusal_promises_that_nothing_was_kept() -> None:
    two = TwoKms()
    outcomes = two.near.send(transfer(1, targets=(SaeId("nobody"),)))
    two.tick(5.0)
    assert outcomes == ["KMS far refuses the keys (400: key-routing-error; Key routing error)"]
    assert VOID not in two.calls


def test_a_refusal_says_nothing_of_an_earlier_attempt() -> None:
    two = TwoKms()
    two.lose_answers.append(EXT_KEYS)
    two.far.domain.holding = True
    outcomes = two.near.send(transfer(1))
    two.settle()
    two.far.domain.saes = frozenset()  # a reload, say: now it refuses
    two.tick(1.0)
    assert len(outcomes) == 1
    assert outcomes[0] is not None
    assert VOID in two.calls


@pytest.mark.parametrize("why", ["failure", "refusal"])
def test_a_relay_that_fails_is_acknowledged_and_other_keys_are_relayed(why: str) -> None:
    two = TwoKms()
    setattr(two.far.domain, why, "no key material is left for its pad")
    outcomes = two.near.send(transfer(1))
    two.settle()
    assert outcomes == ["KMS far says failed: no key material is left for its pad"]
    setattr(two.far.domain, why, None)
    ok(two.far.ask(EXT_KEYS, container(9)))
    assert two.far.domain.key(bytes([9]) * 16)


def test_the_same_key_is_relayed_once_and_acknowledged_again() -> None:
    two = TwoKms()
    for _ in range(3):
        assert ok(two.far.ask(EXT_KEYS, container(1))) == 202
    assert two.far.domain.relays == 1
    assert len(two.far.interchange.acknowledgements) == 2  # one is under way, one waits


def test_a_key_of_which_nothing_left_is_tried_again() -> None:
    two = TwoKms()
    two.far.domain.refusal = "too many bytes of key"
    assert problem(two.far.ask(EXT_KEYS, container(1, ack_callback_url=None))).status == 503
    two.far.crash()
    two.far.domain.refusal = None
    (ack,) = ok(two.far.ask(EXT_KEYS, container(1, ack_callback_url=None)))
    assert ack["ack_status"] == "relayed"
    assert two.far.domain.relays == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_a_key_that_left_and_failed_has_failed_for_good(restarted: bool) -> None:
    """KMEs that may have it are still asked to give it up, whatever came to them under its ID since."""
    two = TwoKms()
    two.far.domain.failure = "no path"
    two.far.domain.holding = restarted
    two.far.ask(EXT_KEYS, container(1, ack_callback_url=None))
    if restarted:
        two.far.crash()
    two.far.domain.failure, two.far.domain.holding = None, False
    again = problem(two.far.ask(EXT_KEYS, container(1, ack_callback_url=None)))
    assert (again.status, again.named["key_id"]) == (503, key_id_text(bytes([1]) * 16))
    assert two.far.domain.relays == 1


def test_that_a_key_has_failed_is_acknowledged_again_beside_what_is_new() -> None:
    two = TwoKms()
    two.far.domain.failure = "no path"
    ok(two.far.ask(EXT_KEYS, container(1)))
    two.far.domain.failure = None
    assert ok(two.far.ask(EXT_KEYS, container(1, 2))) == 202
    owed = [
        (ack.ack_status, [key.key_id for key in ack.key_id_container])
        for ack in (owed.ack for owed in two.far.interchange.acknowledgements._owed.values())
    ]
    one, other = ([key_id_text(bytes([n]) * 16)] for n in (1, 2))
    assert owed == [("failed", one), ("failed", one), ("relayed", other)]


def test_another_value_or_other_saes_under_a_known_id_are_refused() -> None:
    two = TwoKms()
    ok(two.far.ask(EXT_KEYS, container(1)))
    other = json.loads(container(1))
    other["keys"][0]["value"] = base64.b64encode(bytes(32)).decode()
    assert problem(two.far.ask(EXT_KEYS, json.dumps(other).encode())).status == 400
    assert problem(two.far.ask(EXT_KEYS, container(1, target_sae_ids=["ben"]))).status == 400
    two.far.crash()
    assert problem(two.far.ask(EXT_KEYS, json.dumps(other).encode())).status == 400
    assert two.far.domain.key(bytes([1]) * 16) == KeyMaterial(bytes([1]) * 32)


def test_nothing_is_kept_of_a_refused_request() -> None:
    two = TwoKms()
    ok(two.far.ask(EXT_KEYS, container(1)))
    both = json.loads(container(1, 2))
    both["keys"][0]["value"] = base64.b64encode(bytes(32)).decode()
    assert problem(two.far.ask(EXT_KEYS, json.dumps(both).encode())).status == 400
    assert bytes([2]) * 16 not in two.far.interchange.received


def test_a_void_takes_back_what_nobody_was_given() -> None:
    two = TwoKms()
    ok(two.far.ask(EXT_KEYS, container(1, 2, ack_callback_url=None)))
    two.far.domain.delivered.add(bytes([2]) * 16)
    (ack,) = ok(two.far.ask(VOID, void(1, ack_callback_url=None)))
    assert (ack["ack_status"], len(ack["key_id_container"])) == ("voided", 1)
    late = problem(two.far.ask(VOID, void(2, ack_callback_url=None)))
    assert (late.status, late.named) == (400, {key_id_text(bytes([2]) * 16): "failed to void"})
    assert set(two.far.domain.held) == {bytes([2]) * 16}
    assert problem(two.far.ask(EXT_KEYS, container(1))).status == 400


def test_a_void_of_an_unknown_key_keeps_it_away() -> None:
    two = TwoKms()
    unknown = problem(two.far.ask(VOID, void(3, ack_callback_url=None)))
    assert (unknown.status, unknown.kind) == (400, KEY_NOT_PRESENT)
    two.far.crash()
    assert problem(two.far.ask(EXT_KEYS, container(3))).status == 400


def test_a_void_without_ids_needs_confirmation_and_means_all_of_those_saes() -> None:
    two = TwoKms()
    ok(two.far.ask(EXT_KEYS, container(1, 2)))
    ok(two.far.ask(EXT_KEYS, container(3, target_sae_ids=["ben"])))
    missing = problem(two.far.ask(VOID, void(ack_callback_url=None)))
    assert (missing.status, missing.kind) == (400, MISSING_PARAMETERS)
    (ack,) = ok(two.far.ask(VOID, void(ack_callback_url=None, all_confirmation=True)))
    assert len(ack["key_id_container"]) == 2
    assert set(two.far.domain.held) == {bytes([3]) * 16}


def test_a_void_of_a_key_under_way_waits_for_it() -> None:
    two = TwoKms()
    two.far.domain.holding = True
    ok(two.far.ask(EXT_KEYS, container(1)))
    answers = two.far.ask(VOID, void(1, ack_callback_url=None))
    assert answers == []
    two.far.domain.release()
    two.far.journal.flush()
    assert ok(answers)[0]["ack_status"] == "voided"
    assert not two.far.domain.held


def test_a_recalled_key_is_voided_over_there() -> None:
    two = TwoKms()
    two.near.send(transfer(1))
    two.settle()
    two.near.interchange.recalling.recall((bytes([1]) * 16,))
    two.tick(1.0)
    assert not two.far.domain.held
    assert fates(two.near, "sent") == ["voided"]


def test_a_sender_that_was_restarted_voids_what_it_does_not_know() -> None:
    two = TwoKms()
    two.far.domain.holding = True
    two.near.send(transfer(1))
    two.settle()
    two.near.crash()
    two.far.domain.release()
    two.tick(2.0)
    assert not two.far.domain.held
    assert fates(two.near, "sent") == ["voided"]


def test_a_receiver_that_was_restarted_says_that_it_failed() -> None:
    two = TwoKms()
    two.far.domain.holding = True
    outcomes = two.near.send(transfer(1))
    two.settle()
    two.far.crash()
    two.far.domain.holding = False
    two.tick(1.0)
    assert outcomes == ["KMS far says failed: the KMS was restarted"]
    assert not two.far.domain.held


def test_acknowledgements_survive_a_crash() -> None:
    two = TwoKms()
    outcomes = two.near.send(transfer(1))
    two.near.journal.flush()
    two._on_the_way.pop(0)()
    two.cut()
    two.settle()
    assert outcomes == []
    two.far.crash()
    two.cut(False)
    two.tick(1.0)
    assert outcomes == [None]


def test_an_outcome_is_known_after_a_restart_and_ids_are_not_used_again() -> None:
    two = TwoKms()
    two.near.send(transfer(1))
    two.settle()
    two.near.crash()
    assert fates(two.near, "sent") == ["relayed"]
    assert two.near.send(transfer(1)) == ["a key of that ID was handed over before"]


def test_extensions() -> None:
    two = TwoKms()
    mandatory = problem(two.far.ask(EXT_KEYS, container(1, extension_mandatory={"E1_x": 1, "E1_y": None})))
    assert (mandatory.status, mandatory.kind) == (503, UNSUPPORTED_MANDATORY_EXTENSION)
    assert mandatory.named == {"unsupported_mandatory_extension": "E1_x, E1_y"}
    optional = {"E1_z": {"deep": [1, None, "ü"]}}
    ok(two.far.ask(EXT_KEYS, container(1, extension_optional=optional)))
    assert two.far.domain.held[bytes([1]) * 16].optional == optional
    two.near.send(transfer(5, optional=optional))
    two.settle()
    assert two.far.domain.held[bytes([5]) * 16].optional == optional


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere/ack",
        "http://near/ack",
        "https://near:444/ack",
        "https://user@near/ack",
        "https://near@elsewhere/ack",
        "https://near#x",
        "https://near\\@elsewhere/",
        "https://near.elsewhere/ack",
        "https://[::1]/ack",
        "https://near/\n",
        "//near/ack",
        "near",
    ],
)
def test_a_callback_to_anybody_else_is_refused(url: str) -> None:
    two = TwoKms()
    for path, body in ((EXT_KEYS, container(1, ack_callback_url=url)), (VOID, void(1, ack_callback_url=url))):
        refused = problem(two.far.ask(path, body))
        assert (refused.status, refused.message) == (400, "ack_callback_url is not an address of this KMS")
    assert two.far.domain.relays == 0


def test_a_callback_may_have_any_path_there() -> None:
    two = TwoKms()
    for url in ("https://NEAR/any?where=1", "https://near:443/kmapi/v1/ext_keys/ack"):
        assert ok(two.far.ask(EXT_KEYS, container(1, ack_callback_url=url))) == 202


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "about:blank"),
        (b"[]", "about:blank"),
        (b"{}", MISSING_PARAMETERS),
        (container(1, keys=[]), "about:blank"),
        (container(1, keys=None), MISSING_PARAMETERS),
        (container(1, target_sae_ids=[]), "about:blank"),
        (container(1, target_sae_ids=["bob", "bob"]), "about:blank"),
        (container(1, target_sae_ids=["alice"]), "about:blank"),
        (container(1, target_sae_ids=["b" * 65]), "about:blank"),
        (container(1, initiator_sae_id=""), "about:blank"),
        (container(1, initiator_sae_id="a b"), "about:blank"),
        (container(1, initiator_sae_id="a\ud800"), "about:blank"),
        (container(1, target_sae_ids=["bob", "b\n"]), "about:blank"),
        (container(1, extension_optional={"a": ["\udc00"]}), "about:blank"),
        (container(1, ack_callback_url="https://near/" + "a" * 1024), "about:blank"),
        (container(1, unheard_of=1), "about:blank"),
        (container(1, 1), "about:blank"),
        (container(1).replace(b"AQEB", b"A*EB"), "about:blank"),
        (container(1).replace(b"01010101-", b"0101010z-"), "about:blank"),
        (container(1, target_sae_ids=["nobody"]), KEY_ROUTING_ERROR),
        (container(1, target_sae_ids=["alice2"]), KEY_ROUTING_ERROR),
    ],
)
def test_malformed_requests_are_400(body: bytes, kind: str) -> None:
    refused = problem(TwoKms().far.ask(EXT_KEYS, body))
    assert (refused.status, refused.kind) == (400, kind)
    assert "AQEB" not in refused.document().decode()


@pytest.mark.parametrize("initiator", ["a b", "a\ud800", "a\x7f", "a\u200b"])
def test_a_void_too_names_only_what_can_be_an_sae(initiator: str) -> None:
    two = TwoKms()
    assert problem(two.far.ask(VOID, void(1, initiator_sae_id=initiator))).status == 400
    assert fates(two.far, "received") == []
    two.far.journal.flush()
    assert two.far.journal.failure is None


def test_unknown_keys_of_an_acknowledgement_are_named_and_the_others_count() -> None:
    two = TwoKms()
    outcomes = two.near.send(transfer(1))
    two.near.journal.flush()
    acks = [
        {
            "key_id_container": [{"key_id": key_id_text(bytes([n]) * 16)}],
            "ack_status": "relayed",
            "initiator_sae_id": "alice",
            "target_sae_ids": ["bob"],
        }
        for n in (2, 1)
    ]
    unknown = problem(two.near.ask(ACK, json.dumps(acks).encode()))
    assert (unknown.status, unknown.kind) == (400, KEY_NOT_PRESENT)
    assert outcomes == [None]


def test_one_of_two_keys_may_be_acknowledged_twice_before_the_other_one_is() -> None:
    two = TwoKms()
    two.far.domain.holding = True
    outcomes = two.near.send(transfer(1, 2))
    two.settle()
    for _ in range(2):
        ok(two.near.ask(ACK, acks(1, "relayed", "bob")))
        assert outcomes == []
    ok(two.near.ask(ACK, acks(2, "relayed", "bob")))
    assert outcomes == [None]


def test_a_key_for_two_saes_is_good_when_both_have_it() -> None:
    two = TwoKms()
    two.far.domain.holding = True
    outcomes = two.near.send(transfer(1, targets=(BOB, BEN)))
    two.settle()
    for target in ("bob", "ben"):
        assert outcomes == []
        ack = {
            "key_id_container": [{"key_id": key_id_text(bytes([1]) * 16)}],
            "ack_status": "relayed",
            "initiator_sae_id": "alice",
            "target_sae_ids": [target],
        }
        ok(two.near.ask(ACK, json.dumps([ack]).encode()))
    assert outcomes == [None]


def test_versions_and_other_paths() -> None:
    two = TwoKms()
    assert ok(two.far.ask(VERSIONS, b"", "GET")) == {"versions": ["v1"], "capabilities": ["synchronous_mode"]}
    assert problem(two.far.ask(VERSIONS, b"", "POST")).status == 405
    assert problem(two.far.ask("/kmapi/v2/ext_keys", b"")).status == 404


def test_the_draft_is_asynchronous_only_with_an_acknowledgement_per_target() -> None:
    two = TwoKms(edition="0.5.1", synchronous=True)
    outcomes = two.near.send(transfer(1, targets=(BOB, BEN)))
    two.far.journal.flush()
    two.settle()
    assert outcomes == [None]
    assert VERSIONS not in two.calls
    assert ok(two.far.ask(VERSIONS, b"", "GET")) == {"versions": ["v1"]}
    missing = problem(two.far.ask(EXT_KEYS, container(2, ack_callback_url=None)))
    assert missing.kind == MISSING_PARAMETERS


def test_what_is_old_is_forgotten_and_there_is_an_end_to_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyhop.service.etsi020.memory.MAX_REMEMBERED", 2)
    two = TwoKms()
    ok(two.far.ask(EXT_KEYS, container(1, 2)))
    assert problem(two.far.ask(EXT_KEYS, container(3))).status == 503
    two.cut()
    two.clock.advance(3601.0)
    two.tick(12.0)
    assert not [slot for slot in two.far.store.values if slot.kind == "exchange"]
    ok(two.far.ask(EXT_KEYS, container(3)))


def test_a_failed_store_answers_503_and_sends_nothing() -> None:
    two = TwoKms()
    outcomes = two.near.send(transfer(1))
    two.near.audit.failure = two.far.audit.failure = __import__("keyhop.core.errors").core.errors.StoreFailure("disk")
    answers: list[Answer | Problem] = []
    two.far.interchange.handle("POST", EXT_KEYS, container(4), answers.append)
    two.settle()
    assert problem(answers).status == 503
    assert outcomes == ["disk"]
    assert EXT_KEYS not in two.calls
