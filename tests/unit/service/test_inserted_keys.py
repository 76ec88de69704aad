"""A master brings its own keys: every slave's KME holds them before it hears so, or none does."""

import pytest
from masters_in_a_line import A2, ALICE, B2, BOB, CAROL, KEYS, OWN_ID, A, B, C, Line, own

from keyhop.core.errors import BadRequest, KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import SaeId, key_id_text
from keyhop.core.record_ids import chosen_record_id
from keyhop.network import wire
from keyhop.service.gauges import Rate
from keyhop.service.meters import Limit
from keyhop.service.policy import PairPolicy, Policy, Rule
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys

SECOND_ID = OWN_ID[:-1] + b"\x01"


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.mark.parametrize("slaves", [(B,), (C,), (A2,), (B, B2), (B, C), (A2, B, B2, C)], ids=str)
def test_slaves_wherever_they_are_fetch_them_once(line: Line, slaves: tuple[SaeId, ...]) -> None:
    ids = line.inserted(own(*slaves))
    assert len(ids) == 32
    for slave in slaves:
        assert line.fetch(slave, ids) == KEYS
        assert isinstance(line.fetch(slave, ids), KeyhopError)
    assert not any(len(kme.records) for kme in line.kmes.values())


def test_nobody_else_gets_them(line: Line) -> None:
    ids = line.inserted(own(B))
    assert isinstance(line.fetch(B2, ids), Unauthorised)
    assert isinstance(line.fetch(B, ids, master=A2), Unauthorised)
    assert line.fetch(B, ids) == KEYS


@pytest.mark.parametrize("slaves", [(B,), (A2,), (C, B)], ids=str)
def test_ids_of_their_own(line: Line, slaves: tuple[SaeId, ...]) -> None:
    ids = OWN_ID + SECOND_ID
    assert line.inserted(own(*slaves, ids=ids)) == ids
    for slave in slaves:
        assert isinstance(line.fetch(slave, ids, master=B2 if slave != B2 else B), KeyhopError)
        assert line.fetch(slave, SECOND_ID) == KEYS[32:]
        assert line.fetch(slave, OWN_ID) == KEYS[:32]


def test_under_two_names_a_key_is_asked_for_once(line: Line) -> None:
    line.inserted(own(B, keys=KEYS[:32], ids=OWN_ID))
    kept_as = chosen_record_id(A, OWN_ID)
    assert isinstance(line.fetch(B, OWN_ID + kept_as), BadRequest)
    assert line.fetch(B, OWN_ID) == KEYS[:32]
    assert isinstance(line.fetch(B, kept_as), BadRequest)


def test_two_masters_may_choose_the_same_id(line: Line) -> None:
    line.inserted(own(B, keys=KEYS[:32], ids=OWN_ID))
    line.inserted(own(B, keys=KEYS[32:], ids=OWN_ID, master=A2))
    assert line.fetch(B, OWN_ID) == KEYS[:32]
    assert line.fetch(B, OWN_ID, master=A2) == KEYS[32:]


@pytest.mark.parametrize("fetched", [False, True])
@pytest.mark.parametrize(("first", "second"), [(B, B), (B, C), (A2, A2), (A2, B)])
def test_a_master_chooses_an_id_once(line: Line, first: SaeId, second: SaeId, fetched: bool) -> None:
    line.inserted(own(first, keys=KEYS[:32], ids=OWN_ID))
    if fetched:
        line.fetch(first, OWN_ID)
    line.kmes[ALICE].crash()
    line.pass_time(3.0)
    answer = line.ask(own(second, keys=KEYS[32:], ids=OWN_ID))
    assert isinstance(answer, BadRequest)
    assert answer.details == ({"key_ID": key_id_text(OWN_ID)},)
    assert isinstance(line.fetch(second, OWN_ID), bytes) == (first == second and not fetched)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (OWN_ID + OWN_ID, "given twice"),
        (OWN_ID + bytes(16), "version"),
        (OWN_ID + bytes.fromhex("0190d3c8f1a24abc9def0123456789ab"), "version"),  # as a KME draws them
        (OWN_ID + bytes.fromhex("0190d3c8f1a28abc9def0123456789ab"), "version"),  # as a stream's keys have them
        (OWN_ID + bytes.fromhex("0190d3c8f1a27abcddef0123456789ab"), "version"),  # of another variant
        (OWN_ID + b"\xff" * 16, "version"),
    ],
)
def test_ids_that_nobody_may_choose(line: Line, ids: bytes, message: str) -> None:
    answer = line.ask(own(B, ids=ids))
    assert isinstance(answer, BadRequest)
    assert message in answer.message
    assert line.inserted(own(B, keys=KEYS[:32], ids=OWN_ID)) == OWN_ID  # nothing of it counts as used


def test_sizes_and_numbers_are_the_policys(line: Line) -> None:
    for size in (7, 1025):
        answer = line.ask(own(B, keys=bytes(size), size=size))
        assert isinstance(answer, BadRequest)
        assert "size shall be between" in answer.message
    answer = line.ask(own(B, keys=bytes(1025 * 32)))
    assert isinstance(answer, BadRequest)
    assert "number shall be between" in answer.message
    assert isinstance(line.ask(own(A, keys=KEYS)), BadRequest)
    assert isinstance(line.ask(own(SaeId("nobody"))), BadRequest)
    assert isinstance(line.ask(own(B, B)), BadRequest)


@pytest.mark.parametrize(("sources", "allowed"), [(None, True), ({"virtual"}, False), ({"virtual", "kme"}, False)])
def test_a_pair_that_may_have_keys_of_some_sources_only_has_to_list_them(
    sources: set[str] | None, allowed: bool
) -> None:
    line = Line(Policy(PairPolicy(sources=frozenset(sources) if sources else None)))
    answer = line.ask(own(B))
    assert isinstance(answer, InsertedKeys) == allowed
    if not allowed:
        assert isinstance(answer, BadRequest)
        assert "an SAE made" in answer.message


def test_listed_they_may_and_the_slaves_kme_asks_for_the_same() -> None:
    line = Line(Policy(PairPolicy(sources=frozenset({"virtual", "sae"}))))
    assert line.fetch(B, line.inserted(own(B))) == KEYS
    made = line.ask(GetKey(A, B, additional_slaves=(B2,)))
    assert isinstance(made, BadRequest)  # that would be the KME's own
    ids = line.inserted(own(B))
    bob = line.kmes[BOB]
    bob.kme.policies.replace(Policy(PairPolicy(sources=frozenset({"virtual", "kme"}))))
    refused = line.fetch(B, ids)
    assert isinstance(refused, Unauthorised)
    assert "a sae made" in refused.message


def test_of_several_slaves_each_has_to_allow_it() -> None:
    line = Line(Policy(rules=(Rule(slave="c", gives={"sources": frozenset({"virtual"})}),)))
    assert isinstance(line.ask(own(B, C)), BadRequest)
    assert len(line.kmes[BOB].records) == 0


def test_limits_count_them_and_give_them_back(line: Line) -> None:
    line.kmes[ALICE].kme.limits.replace((Limit("a", bytes=Rate(per_s=1.0, burst=100)),))
    line.inserted(own(B))
    answer = line.ask(own(B))
    assert isinstance(answer, Unavailable)
    assert "limit of SAE a" in answer.message


def test_who_brought_what_is_in_the_audit_log(line: Line) -> None:
    ids = line.inserted(own(B, C, ids=OWN_ID + SECOND_ID))
    line.fetch(C, ids)
    (record,) = [r for r in line.kmes[ALICE].audit.records() if r.get("call") == "insert"]
    assert (record["sae"], record["master"], record["slaves"]) == ("a", "a", ["b", "c"])
    assert (record["source"], record["paths"]) == ("sae", [["alice", "bob"], ["alice", "bob", "carol"]])
    assert record["keys"] == [{"size_bits": 256, "ids": ids.hex()}]
    (fetched,) = [r for r in line.kmes[CAROL].audit.records() if r.get("call") == "dec_keys"]
    assert (fetched["source"], fetched["keys"]) == ("sae", [{"size_bits": 256, "ids": ids.hex()}])
    assert fetched["paths"] == [["alice", "bob", "carol"]]
    assert not any(KEYS[:32] in kme.audit.written for kme in line.kmes.values())


def test_when_one_slave_cannot_have_them_none_can(line: Line) -> None:
    answers = line.insert_keys(ALICE, own(B, C))
    line.dead.add(CAROL)
    line.settle()
    line.pass_time(8.0)
    (answer,) = answers
    assert isinstance(answer, Unavailable)
    line.dead.clear()
    line.pass_time(3.0)
    assert not any(len(kme.records) for kme in line.kmes.values())


def test_one_that_was_fetched_before_its_answer_came_is_not_lost_and_not_there_twice(line: Line) -> None:
    """Who chose the ID may have told it to the slave."""
    answers = line.insert_keys(ALICE, own(B, ids=OWN_ID, keys=KEYS[:32]))
    while not len(line.kmes[BOB].records):
        line.step()
    line._on_the_way = [sent for sent in line._on_the_way if not is_carried(sent[2])]
    fetched = line.get_key_with_ids(BOB, GetKeyWithIds(B, A, OWN_ID))
    line.settle()
    assert fetched
    line.kmes[BOB].crash()
    line.pass_time(3.0)
    (answer,) = answers
    assert isinstance(answer, InsertedKeys)
    assert isinstance(line.fetch(B, OWN_ID), BadRequest)


def test_they_grow_old_like_others(line: Line) -> None:
    ids = line.inserted(own(B, ids=OWN_ID, keys=KEYS[:32]))
    line.clock.advance(86400.0)
    line.pass_time(10.0)
    assert isinstance(line.fetch(B, ids), BadRequest)
    assert all(len(kme.records.endings) == 0 for kme in line.kmes.values())


def is_carried(message: bytes) -> bool:
    return isinstance(wire.decode(message).body, wire.Carried)
