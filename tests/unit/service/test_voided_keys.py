"""A master voids keys: no slave that has not fetched them gets them any more, at whatever KME, after whatever crash."""

import pytest
from masters_in_a_line import A2, ALICE, B2, BOB, CAROL, KEYS, OWN_ID, A, B, C, Line, own

from keyhop.core.errors import BadRequest, KeyhopError, Unavailable
from keyhop.core.ids import SaeId
from keyhop.core.store.memory import MemoryStore
from keyhop.network import wire
from keyhop.network.reclaiming import Keys
from keyhop.service.policy import Policy
from keyhop.service.requests import GetKey, VoidKeys

KINDS = ("direct", "relayed", "record", "brought", "own id", "here")


@pytest.fixture
def line() -> Line:
    line = Line()
    line.made(GetKey(A, C))  # from now on there is a demand for relayed keys, and a stream of them
    line.pass_time(10.0)
    return line


def keys_of(line: Line, kind: str) -> tuple[bytes, tuple[SaeId, ...]]:
    """Three keys of a kind, and for whom they are."""
    match kind:
        case "direct":
            return line.made(GetKey(A, B, 3)), (B,)
        case "relayed":
            return line.made(GetKey(A, C, 3)), (C,)
        case "record":
            return line.made(GetKey(A, C, 3, additional_slaves=(B, A2))), (C, B, A2)
        case "here":
            return line.made(GetKey(A, A2, 3)), (A2,)
        case "brought":
            return line.inserted(own(B, B2, keys=KEYS + KEYS[:32])), (B, B2)
    ids = b"".join(OWN_ID[:-1] + bytes([i]) for i in range(3))
    return line.inserted(own(C, A2, ids=ids, keys=KEYS + KEYS[:32])), (C, A2)


def void(ids: bytes, slaves: tuple[SaeId, ...], master: SaeId = A) -> VoidKeys:
    return VoidKeys(master, slaves[0], ids, slaves[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_was_voided_is_not_found_and_stays_so(line: Line, kind: str) -> None:
    ids, slaves = keys_of(line, kind)
    assert ids[6] >> 4 == {"direct": 8, "relayed": 8, "own id": 7}.get(kind, 4)
    some = ids[:16] + ids[32:]
    for _ in range(2):
        assert line.voided(void(some, slaves)) == (True, True)
    for name in line.kmes:
        line.kmes[name].crash()
    line.pass_time(3.0)
    assert line.voided(void(some, slaves)) == (True, True)
    for slave in slaves:
        for key_id in (ids[:16], ids[32:]):
            answer = line.fetch(slave, key_id)
            assert isinstance(answer, BadRequest), answer
            assert "not found" in answer.message
        assert isinstance(line.fetch(slave, ids[16:32]), bytes)
    balanced(line)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_was_fetched_is_told(line: Line, kind: str) -> None:
    ids, slaves = keys_of(line, kind)
    key = line.fetch(slaves[0], ids[16:32])
    assert isinstance(key, bytes)
    for _ in range(2):
        assert line.voided(void(ids, slaves)) == (True, False, True)
    for slave in slaves:
        for at in range(0, 48, 16):
            assert isinstance(line.fetch(slave, ids[at : at + 16]), KeyhopError)
    balanced(line)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_master_of_a_key_voids_it(line: Line, kind: str) -> None:
    ids, slaves = keys_of(line, kind)
    others = tuple(slave for slave in slaves if slave != A2) or (B2,)
    assert line.voided(void(ids, others, A2)) == (False, False, False)
    assert isinstance(line.ask(void(ids, (A,))), BadRequest)
    for slave in slaves:
        assert isinstance(line.fetch(slave, ids), bytes)
    assert line.voided(void(ids, slaves)) == (False, False, False)


@pytest.mark.parametrize("kind", KINDS)
def test_for_others_than_its_slaves_nothing_is_voided(line: Line, kind: str) -> None:
    ids, slaves = keys_of(line, kind)
    others = tuple({A2, B, B2, C} - {*slaves})
    assert line.voided(void(ids, others)) == (False, False, False)
    for slave in slaves:
        assert isinstance(line.fetch(slave, ids), bytes)


def test_for_some_of_its_slaves_a_key_may_be_voided(line: Line) -> None:
    ids = line.inserted(own(B, B2))
    assert line.voided(void(ids, (B2,))) == (True, True)
    assert isinstance(line.fetch(B2, ids), BadRequest)
    assert line.fetch(B, ids) == KEYS


def test_what_is_no_key_at_all(line: Line) -> None:
    ids = bytes(16) + OWN_ID + b"\xff" * 16
    assert line.voided(void(ids, (B, C, A2))) == (False, False, False)
    assert isinstance(line.ask(void(ids, (SaeId("nobody"),))), BadRequest)
    assert isinstance(line.ask(void(ids, (B, B))), BadRequest)


def test_a_pad_or_another_pairs_key_is_never_voided(line: Line) -> None:
    """Both are of the same stream; the ID that a slave could forge names neither."""
    ids = line.made(GetKey(A, B, 3))
    before = line.kmes[BOB].peers[ALICE].neighbour.followed.available_bytes
    for flip in range(128):
        altered = (int.from_bytes(ids[:16]) ^ 1 << flip).to_bytes(16)
        assert line.voided(void(altered, (B,))) == (False,)
    assert line.kmes[BOB].peers[ALICE].neighbour.followed.available_bytes == before


@pytest.mark.parametrize("kind", ["direct", "relayed", "record", "own id"])
def test_a_kme_that_does_not_say_so_is_named_and_asking_again_helps(line: Line, kind: str) -> None:
    ids, slaves = keys_of(line, kind)
    silent = BOB if kind == "direct" else CAROL
    line.dead.add(silent)
    answer = line.ask(void(ids, slaves), seconds=8.0)
    assert isinstance(answer, Unavailable)
    assert silent in answer.message
    line.dead.clear()
    line.pass_time(5.0)
    assert line.voided(void(ids, slaves)) == (True, True, True)


def test_an_answer_that_is_lost_costs_nothing(line: Line) -> None:
    ids = line.made(GetKey(A, B))
    answers = line.void_keys(ALICE, void(ids, (B,)))
    dropped = 0
    while not dropped:
        line.step()
        dropped = len(line._on_the_way)
        line._on_the_way = [sent for sent in line._on_the_way if not is_reclaimed(sent[2])]
        dropped -= len(line._on_the_way)
    line.kmes[BOB].crash()
    line.pass_time(4.0)
    assert [getattr(answer, "voided", answer) for answer in answers] == [(True,)]


def test_it_is_durable_at_the_slaves_kme_before_the_answer(line: Line) -> None:
    ids = line.made(GetKey(A, B))
    answers = line.void_keys(ALICE, void(ids, (B,)))
    bob = line.kmes[BOB]
    while not answers:
        if any(target == ALICE and is_reclaimed(data) for _, target, data in line._on_the_way):
            bob.start(dict(bob.store.values))  # what is not on its disk is lost
            assert bob.kme.records.endings.is_void(ids, A, (B,))
            break
        assert line.step()
    line.pass_time(3.0)
    assert isinstance(line.fetch(B, ids), BadRequest)


def test_a_store_that_was_copied_before_the_void_is_found_out(line: Line) -> None:
    """As it is for a key that was fetched: so a void counts as a delivery."""
    ids = line.made(GetKey(A, B))
    line.pass_time(5.0)  # whatever window was open is over
    copied = dict(line.kmes[BOB].store.values)
    assert line.voided(void(ids, (B,))) == (True,)
    line.pass_time(3.0)
    line.kmes[BOB].start(MemoryStore(copied).values)
    line.pass_time(3.0)
    assert isinstance(line.fetch(B, ids), BadRequest)


def test_what_was_asked_for_is_in_both_audit_logs(line: Line) -> None:
    ids, slaves = keys_of(line, "record")
    line.fetch(B, ids[:16])
    line.voided(void(ids, slaves))
    (asked,) = [r for r in line.kmes[ALICE].audit.records() if r.get("event") == "void asked for"]
    assert (asked["master"], asked["slaves"]) == ("a", "c b a2")
    assert (asked["asked"], asked["voided"]) == (ids.hex(), ids[16:].hex())
    (at_carol,) = [r for r in line.kmes[CAROL].audit.records() if r.get("event") == "keys voided"]
    assert (at_carol["master"], at_carol["slaves"], at_carol["ids"]) == ("a", "c", ids.hex())


def test_a_void_and_a_fetch_in_the_same_turn_agree(line: Line) -> None:
    ids = line.made(GetKey(A, B, 8))
    for at in range(0, len(ids), 16):
        key_id = ids[at : at + 16]
        answers = line.void_keys(ALICE, void(key_id, (B,)))
        for _ in range(at // 16):
            line.step()
        fetched = line.fetch(B, key_id)
        line.pass_time(1.0)
        (answer,) = answers
        assert getattr(answer, "voided", answer) == (isinstance(fetched, KeyhopError),)


def test_a_slave_may_still_get_once_more_what_it_fetched_before() -> None:
    line = Line(Policy(redelivery_s=30.0))
    ids = line.made(GetKey(A, B))
    key = line.fetch(B, ids)
    assert line.voided(void(ids, (B,))) == (False,)
    assert line.fetch(B, ids) == key


def balanced(line: Line) -> None:
    for kme in line.kmes.values():
        for pair in kme.kme.pairs():
            assert pair.followed.ledger.balances(pair.followed.available_bytes)


def is_reclaimed(message: bytes) -> bool:
    return isinstance(wire.decode(message).body, wire.Reclaimed)


def test_a_peer_voids_no_keys_of_anybody_elses_master(line: Line) -> None:
    """Carol's KME asks bob's for keys of alice's master."""
    ids = line.inserted(own(B))
    told: list[bytes | None] = []
    line.kmes[CAROL].peers[BOB].relayed.reclaiming.reclaim(
        Keys(A, (B,), ids, False), line.clock.monotonic() + 5.0, told.append
    )
    line.settle()
    assert told == [b""]
    assert isinstance(line.fetch(B, ids), bytes)


def test_no_slaves_of_another_kme_are_spoken_for(line: Line) -> None:
    ids, _ = keys_of(line, "record")
    told: list[bytes | None] = []
    keys = Keys(A, (B, C), ids, False)
    line.kmes[ALICE].peers[BOB].relayed.reclaiming.reclaim(keys, line.clock.monotonic() + 5.0, told.append)
    line.settle()
    assert told == [b""]
    assert isinstance(line.fetch(B, ids), bytes)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_voided_again_is_not_in_the_audit_log_again(line: Line, kind: str) -> None:
    ids, slaves = keys_of(line, kind)
    told = [line.voided(void(some, slaves)) for some in (ids[:16], ids[:16], ids[:32], ids[:32])]
    assert told == [(True,), (True,), (True, True), (True, True)]
    for kme in line.kmes.values():
        noted = [r["ids"] for r in kme.audit.records() if r.get("event") == "keys voided"]
        assert noted in ([], [ids[:16].hex(), ids[16:32].hex()])
