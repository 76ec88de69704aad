"""SAEs of two domains share keys through the gateways of both."""

import json
from base64 import b64encode

import pytest

from keyhop.core.errors import BadRequest, KeyhopError, StoreFailure, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, SaeId, key_id_text
from keyhop.core.record_ids import chosen_record_id
from keyhop.core.record_room import MAX_RECORDS
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.wire_types import MAX_RECORDS_PER_BATCH
from keyhop.service.etsi020.calls import EXT_KEYS, Answer
from keyhop.service.etsi020.problems import KEY_ROUTING_ERROR, Problem
from keyhop.service.etsi020.transfer import Saes
from keyhop.service.gateway.importing import Importing
from keyhop.service.kme_options import OtherDomains
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.service.spreading import Spreading
from keyhop.service.undoing import LATE_S
from keyhop.testing.domains import ALICE, BOB, EAST, WEST, Domain, Domains, TwoDomains
from keyhop.testing.network import VirtualNetwork

CAROL = KmeId("carol")
A, A2, W, B, B2, E = map(SaeId, ("a", "a2", "w", "b", "b2", "e"))


def domains() -> TwoDomains:
    return TwoDomains("a", "a2", "w", "b", "b2", "e")


def given(answers: list[Keys | KeyhopError]) -> Keys:
    (answer,) = answers
    assert isinstance(answer, Keys), answer
    return answer


def refused(answers: list[Keys | KeyhopError]) -> KeyhopError:
    (answer,) = answers
    assert isinstance(answer, KeyhopError)
    return answer


def bytes_of(keys: Keys) -> bytes:
    return b"".join(run.material.reveal() for run in keys.runs)


def ids_of(keys: Keys) -> bytes:
    return b"".join(run.ids for run in keys.runs)


@pytest.mark.parametrize(("master", "slave"), [(A, B), (A, E), (W, B), (W, E), (B, A), (E, W)])
def test_the_same_key_at_both_ends_once(master: SaeId, slave: SaeId) -> None:
    both = domains()
    answers = both.get_key(GetKey(master, slave, 3, 512))
    both.settle()
    got = given(answers)
    fetched = given(both.get_key_with_ids(GetKeyWithIds(slave, master, ids_of(got))))
    assert bytes_of(fetched) == bytes_of(got)
    assert len(bytes_of(got)) == 3 * 64
    again = refused(both.get_key_with_ids(GetKeyWithIds(slave, master, ids_of(got))))
    assert isinstance(again, BadRequest)
    for network in (both.west, both.east):
        assert not any(len(kme.records) for kme in network.kmes.values())


def test_the_master_waits_until_the_slave_can_have_it() -> None:
    both = domains()
    answers = both.get_key(GetKey(A, B))
    for _ in range(200):
        if answers:
            break
        both.step()
        bob_has_it = len(both.east.kmes[BOB].records)
        assert bob_has_it or not answers
    given(answers)
    assert len(both.east.kmes[BOB].records) == 1


def test_several_slaves_in_both_domains() -> None:
    both = domains()
    answers = both.get_key(GetKey(A, B, additional_slaves=(A2, W, B2, E)))
    both.settle()
    got = given(answers)
    for slave in (B, A2, W, B2, E):
        assert bytes_of(given(both.get_key_with_ids(GetKeyWithIds(slave, A, ids_of(got))))) == bytes_of(got)


@pytest.mark.parametrize("is_fetched", [False, True])
def test_a_key_that_is_here_or_was_is_not_replaced_once_its_hand_over_is_forgotten(is_fetched: bool) -> None:
    both = domains()
    east = both.east.kmes[EAST]
    interchange = east.kme.gateway[WEST]
    key_id = bytes.fromhex("00000065000000000000400080000000").ljust(16, b"\1")
    statuses = []

    def hand_over(fill: bytes) -> None:
        key = {"key_id": key_id_text(key_id), "value": b64encode(fill * 32).decode()}
        body = {"keys": [key], "initiator_sae_id": "a", "target_sae_ids": ["e", "b"]}
        interchange.handle("POST", EXT_KEYS, json.dumps(body).encode(), lambda answer: statuses.append(answer.status))
        both.pass_time(0.5)

    def fetched(slave: SaeId) -> list[Keys | KeyhopError]:
        return both.get_key_with_ids(GetKeyWithIds(slave, A, key_id))

    hand_over(b"1")
    if is_fetched:
        assert bytes_of(given(fetched(E))) == b"1" * 32
    interchange.received._keys.clear()
    hand_over(b"2")
    assert statuses == [200, 503]
    if is_fetched:
        refused(fetched(E))
    else:
        assert bytes_of(given(fetched(E))) == b"1" * 32
    assert bytes_of(given(fetched(B))) == b"1" * 32
    assert east.records.has_room(A, "etsi020", MAX_RECORDS)  # nothing of it counts any more


@pytest.mark.parametrize("by_relay", [False, True])
def test_what_comes_again_while_the_first_waits_to_be_fetched_has_to_be_the_same_key(by_relay: bool) -> None:
    """The gateway forgot that it took the key; a KME behind it has it still."""
    links = ((EAST, CAROL), (CAROL, BOB)) if by_relay else None
    east = Domain((BOB, EAST, CAROL), {EAST: {WEST: ("a",)}}, links=links, feeder=FeederOptions("on-demand"))
    both = Domains({A: ALICE, B: BOB, SaeId("c"): CAROL}, Domain((ALICE, WEST), {WEST: {EAST: ("b",)}}), east)
    both.network(EAST).produce(8)
    both.pass_time(2.0)
    gateway, interchange = both.network(EAST).kmes[EAST], both.network(EAST).kmes[EAST].kme.gateway[WEST]
    answers: list[Answer | Problem] = []

    def hand_over(number: int, fill: bytes) -> list[int]:
        keys = [{"key_id": key_id_text(bytes([number]) * 16), "value": b64encode(fill * 32).decode()}]
        body = {"keys": keys, "initiator_sae_id": "a", "target_sae_ids": ["b"]}
        interchange.received._keys.clear()
        interchange.handle("POST", EXT_KEYS, json.dumps(body).encode(), answers.append)
        both.pass_time(3.0)
        return [answer.status for answer in answers]

    hand_over(1, b"1")
    hand_over(2, b"2")
    assert hand_over(1, b"1") == [200, 200, 200]
    assert hand_over(2, b"3") == [200, 200, 200, 503]
    assert hand_over(2, b"of another size") == [200, 200, 200, 503, 503]
    both.pass_time(LATE_S + 5.0)  # what failed would have been taken back by now
    for number, fill in ((1, b"1"), (2, b"2")):
        assert bytes_of(given(both.get_key_with_ids(GetKeyWithIds(B, A, bytes([number]) * 16)))) == fill * 32
    assert len(gateway.records.outgoing) == 0


def test_if_one_slave_cannot_have_it_nobody_keeps_it() -> None:
    both = domains()
    both.cut = True
    answers = both.get_key(GetKey(A, B, additional_slaves=(A2, W)))
    both.pass_time(12.0)
    assert isinstance(refused(answers), Unavailable)
    both.cut = False
    both.pass_time(70.0)
    for network in (both.west, both.east):
        assert not any(len(kme.records) for kme in network.kmes.values())


@pytest.mark.parametrize(("master", "why"), [(A, "KME west has no copy: "), (W, "")])
def test_a_kms_that_is_known_not_to_answer_costs_no_wait_and_is_found_again(master: SaeId, why: str) -> None:
    both = domains()
    both.cut = True
    both.pass_time(31.0)
    answers = both.get_key(GetKey(master, B))
    both.pass_time(1.0)
    assert refused(answers).message == f"{why}KMS east has no copy: it does not answer"
    both.cut = False
    both.pass_time(3.0)
    answers = both.get_key(GetKey(master, B))
    both.pass_time(1.0)
    given(answers)
    assert len(both.east.kmes[BOB].records) == 1


def test_a_kms_that_does_not_answer_one_master_costs_the_next_no_wait() -> None:
    both = domains()
    both.cut = True
    both.get_key(GetKey(A, B))
    both.pass_time(1.0)
    answers = both.get_key(GetKey(A2, B))
    both.pass_time(1.0)
    assert "it does not answer" in refused(answers).message


def test_nobody_else_gets_it() -> None:
    both = domains()
    answers = both.get_key(GetKey(A, B))
    both.settle()
    ids = ids_of(given(answers))
    assert isinstance(refused(both.get_key_with_ids(GetKeyWithIds(B2, A, ids))), Unauthorised)
    assert isinstance(refused(both.get_key_with_ids(GetKeyWithIds(B, A2, ids))), BadRequest)
    assert isinstance(refused(both.get_key_with_ids(GetKeyWithIds(A2, A, ids))), BadRequest)
    given(both.get_key_with_ids(GetKeyWithIds(B, A, ids)))


def test_a_lost_answer_costs_no_second_key() -> None:
    both = domains()
    both.lose_answers.append(EXT_KEYS)
    answers = both.get_key(GetKey(A, B))
    both.pass_time(2.0)
    got = given(answers)
    assert len(both.east.kmes[BOB].records) == 1
    assert bytes_of(given(both.get_key_with_ids(GetKeyWithIds(B, A, ids_of(got))))) == bytes_of(got)


def test_a_key_that_comes_too_late_is_voided_in_the_other_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    both = domains()
    both.lose_answers.extend([EXT_KEYS] * 20)
    monkeypatch.setattr(both.west.kmes[WEST].kme.gateway[EAST].sending, "acknowledged", lambda acks: None)
    answers = both.get_key(GetKey(A, B))
    both.pass_time(12.0)
    assert isinstance(refused(answers), Unavailable)
    monkeypatch.undo()
    both.pass_time(5.0)
    assert len(both.east.kmes[BOB].records) == 0


def test_when_the_gateway_is_restarted_the_master_gets_no_key_and_the_slave_none() -> None:
    both = domains()
    answers = both.get_key(GetKey(A, B))
    both.west.settle()
    both.west.kmes[WEST].crash()
    both.west.kmes[ALICE].peers[WEST].disconnect()
    both.west.kmes[ALICE].connect(WEST)
    both.pass_time(20.0)
    assert isinstance(refused(answers), Unavailable)
    assert len(both.east.kmes[BOB].records) == 0
    answers = both.get_key(GetKey(A, B))
    both.settle()
    got = given(answers)
    given(both.get_key_with_ids(GetKeyWithIds(B, A, ids_of(got))))


def test_a_gateway_that_stops_before_it_has_kept_its_own_copy_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both, finish = domains(), Spreading._finish
    with monkeypatch.context() as stopped:
        stopped.setattr(Spreading, "_finish", lambda self, spread: None if spread.here else finish(self, spread))
        answers = both.get_key(GetKey(A, W, additional_slaves=(B,)))
        both.settle()
    assert not answers
    both.west.kmes[WEST].crash()
    both.west.kmes[ALICE].peers[WEST].disconnect()
    both.west.kmes[ALICE].connect(WEST)
    both.pass_time(20.0)
    assert isinstance(refused(answers), Unavailable)
    for network in (both.west, both.east):
        assert not any(len(kme.records) for kme in network.kmes.values())


def test_what_could_not_be_voided_after_a_restart_has_not_arrived_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The KME of a slave that cannot say whether it has given a key out may have given it out, or have lost it."""
    monkeypatch.setattr(Importing, "recall", lambda self, ids, saes, done: done(frozenset()))
    both = domains()
    answers = both.get_key(GetKey(A, B))
    both.west.settle()
    both.west.kmes[WEST].crash()
    both.west.kmes[ALICE].peers[WEST].disconnect()
    both.pass_time(2.0)
    both.west.kmes[ALICE].connect(WEST)
    both.pass_time(20.0)
    accounts = {(way, outcome) for way, outcome, _ in both.west.kmes[WEST].kme.gateway[EAST].accounts}
    assert ("sent", "failed to void") in accounts
    assert isinstance(refused(answers), Unavailable)


def test_when_the_store_fails_everybody_who_waits_for_the_other_domain_hears_so() -> None:
    both = domains()
    both.cut = True
    far, near = both.get_key(GetKey(A, B)), both.get_key(GetKey(W, B))
    both.settle()
    west = both.west.kmes[WEST].kme
    west.journal.fail(StoreFailure("the disk is gone"))
    west.abandon()
    assert isinstance(refused(near), StoreFailure | Unavailable)
    assert not far, "its KME is another one"


def test_a_void_takes_it_back_from_the_slaves_kme() -> None:
    both = domains()
    answers = both.get_key(GetKey(A, B, 2))
    both.settle()
    ids = ids_of(given(answers))
    given(both.get_key_with_ids(GetKeyWithIds(B, A, ids[:16])))
    both.west.kmes[WEST].kme.gateway[EAST].recalling.recall((ids[:16], ids[16:]))
    both.pass_time(3.0)
    outcomes = {(way, outcome): n for way, outcome, n in both.west.kmes[WEST].kme.gateway[EAST].accounts}
    assert outcomes["sent", "failed to void"] == outcomes["sent", "voided"] == 1
    assert isinstance(refused(both.get_key_with_ids(GetKeyWithIds(B, A, ids[16:]))), BadRequest)


MANY = b"".join(number.to_bytes(16) for number in range(2 * MAX_RECORDS_PER_BATCH))
"""IDs of keys, more than a message between KMEs may have."""


@pytest.mark.parametrize("fetched", [False, True])
def test_however_many_keys_are_taken_back_the_kmes_of_a_domain_understand_each_other(fetched: bool) -> None:
    both = domains()
    answers = both.get_key(GetKey(A, B, 2))
    both.settle()
    ids = ids_of(given(answers))
    if fetched:
        given(both.get_key_with_ids(GetKeyWithIds(B, A, ids[16:])))
    east = both.east.kmes[EAST].kme
    since, gone = east.peers[BOB].since, list[frozenset[bytes]]()
    all_ids = _each(ids[:16] + MANY + ids[16:])
    east.gateway[WEST].taking_back._domain.recall(all_ids, Saes(A, (B,)), gone.append)
    both.pass_time(3.0)
    assert gone == [frozenset(_each(ids[:16] if fetched else ids))]
    assert east.peers[BOB].since == since


def test_however_many_keys_are_forgotten_they_go_at_once_and_it_is_settled() -> None:
    both = domains()
    answers = both.get_key(GetKey(A, B, 2))
    both.settle()
    ids = ids_of(given(answers))
    east, bob = both.east.kmes[EAST].kme, both.east.kmes[BOB].kme
    since = east.peers[BOB].since
    east.gateway[WEST].receiving._domain.forget(_each(ids[:16] + MANY + ids[16:]), Saes(A, (B,)))
    both.pass_time(3.0)
    assert not len(bob.records)
    both.pass_time(LATE_S)
    assert not len(east.undoing._outgoing)
    assert east.peers[BOB].since == since


def _each(ids: bytes) -> tuple[bytes, ...]:
    return tuple(ids[at : at + 16] for at in range(0, len(ids), 16))


def test_an_id_that_the_other_domain_chose_takes_nobodys_place() -> None:
    """Another domain knows the ID of a key within ours, and hands over one of its own under it."""
    both = domains()
    local = both.get_key(GetKey(B, B2))  # of two SAEs at one KME: a record
    both.settle()
    stream = both.get_key(GetKey(E, B))
    both.settle()
    for mine in (ids_of(given(local)), ids_of(given(stream))):
        body = (
            f'{{"keys":[{{"key_id":"{key_id_text(mine)}","value":"{"QUFB" * 8}"}}],"initiator_sae_id":"a",'
            f'"target_sae_ids":["b2","b"],"ack_callback_url":"https://west/ack"}}'
        )
        both.east.kmes[EAST].kme.gateway[WEST].handle("POST", EXT_KEYS, body.encode(), lambda answer: None)
        both.settle()
        theirs = given(both.get_key_with_ids(GetKeyWithIds(B2, A, mine)))
        assert bytes_of(theirs) == b"AAA" * 8
    assert bytes_of(given(both.get_key_with_ids(GetKeyWithIds(B2, B, ids_of(given(local)))))) == bytes_of(given(local))
    assert bytes_of(given(both.get_key_with_ids(GetKeyWithIds(B, E, ids_of(given(stream)))))) == bytes_of(given(stream))


def test_record_ids_of_other_domains_depend_on_the_master() -> None:
    assert chosen_record_id(A, bytes(16)) != chosen_record_id(B, bytes(16)) != bytes(16)
    assert chosen_record_id(A, bytes(16))[6] >> 4 == 4


def test_the_audit_logs_of_both_gateways_tell_the_story() -> None:
    both = domains()
    answers = both.get_key(GetKey(A, B))
    both.settle()
    ids = ids_of(given(answers)).hex()
    given(both.get_key_with_ids(GetKeyWithIds(B, A, bytes.fromhex(ids))))

    def events(kme: object) -> list[str]:
        records = kme.audit.records()  # type: ignore[attr-defined]
        return [record["event"] for record in records if record.get("ids") == ids]

    assert events(both.west.kmes[WEST]) == ["etsi020 keys sent: handed over", "etsi020 keys sent: relayed"]
    assert events(both.east.kmes[EAST]) == ["etsi020 keys received: handed over", "etsi020 keys received: relayed"]
    (handed,) = [record for record in both.east.kmes[BOB].audit.records() if "call" in record]
    assert (handed["source"], handed["paths"]) == ("etsi020", [["east", "bob"]])
    assert handed["keys"] == [{"size_bits": 256, "ids": ids}]


def test_another_kme_cannot_ask_for_what_it_did_not_send() -> None:
    both = domains()
    answers = both.get_key(GetKey(A, B))
    both.settle()
    gateway = both.west.kmes[WEST].kme.gateway
    ids = ids_of(given(answers))
    batch = gateway[EAST].sent[ids].mark
    assert gateway.outcome(A, (B,), ids, batch) == "yes"
    assert gateway.outcome(W, (B,), ids, batch) == gateway.outcome(A, (B,), ids, bytes(16)) == "others"
    gateway.take_back(EAST, W, ids)
    both.pass_time(2.0)
    given(both.get_key_with_ids(GetKeyWithIds(B, A, ids)))


def test_a_key_that_one_of_two_slaves_has_fetched_stays_for_the_other() -> None:
    both = domains()
    answers = both.get_key(GetKey(A, B, additional_slaves=(B2,)))
    both.settle()
    ids = ids_of(given(answers))
    given(both.get_key_with_ids(GetKeyWithIds(B, A, ids)))
    both.west.kmes[WEST].kme.gateway[EAST].recalling.recall((ids,))
    both.pass_time(3.0)
    outcomes = {(way, outcome): n for way, outcome, n in both.west.kmes[WEST].kme.gateway[EAST].accounts}
    assert outcomes["sent", "failed to void"] == 1
    given(both.get_key_with_ids(GetKeyWithIds(B2, A, ids)))


@pytest.mark.parametrize(
    ("initiator", "target", "reason"),
    [
        ("a", "w", "the key would go back to you"),
        ("b", "b2", "the initiator is not an SAE of yours"),
        ("nobody", "b", "the initiator is not an SAE of yours"),
        ("a", "nobody", "there is no route to the target"),
    ],
)
def test_keys_come_only_from_there_and_only_to_here(initiator: str, target: str, reason: str) -> None:
    both = domains()
    body = (
        f'{{"keys":[{{"key_id":"{key_id_text(bytes(16))}","value":"QUFB"}}],"initiator_sae_id":"{initiator}",'
        f'"target_sae_ids":["{target}"],"ack_callback_url":"https://west/ack"}}'
    )
    answers: list[object] = []
    both.east.kmes[EAST].kme.gateway[WEST].handle("POST", EXT_KEYS, body.encode(), answers.append)
    (problem,) = answers
    assert isinstance(problem, Problem)
    assert (problem.status, problem.kind, problem.message) == (400, KEY_ROUTING_ERROR, reason)


def test_no_key_stays_here_for_an_sae_of_another_domain_that_no_kms_here_has() -> None:
    """Whoever told that it is reached over this KME: its master would get a key that it can never have."""
    far = SaeId("far")
    home = {A: WEST, far: WEST, B: ALICE}
    network = VirtualNetwork(home, abroad={WEST: OtherDomains(foreign=lambda sae: sae == far)})
    answers = network.get_key(WEST, GetKey(A, far))
    network.settle()
    answer = refused(answers)
    assert isinstance(answer, Unavailable)
    assert answer.message == "no KMS joined here has SAE far"
    assert not len(network.kmes[WEST].records)
