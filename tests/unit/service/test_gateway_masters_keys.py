"""Keys that a master brings, and keys that it voids, for slaves of another domain."""

import pytest
from masters_in_a_line import KEYS, OWN_ID, own

from keyhop.core.errors import BadRequest, KeyhopError, Unavailable
from keyhop.core.ids import SaeId
from keyhop.core.record_ids import chosen_record_id
from keyhop.service.etsi020.calls import ACK, VOID
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys, InsertKeys, Keys, VoidedKeys, VoidKeys
from keyhop.testing.domains import ALICE, EAST, WEST, TwoDomains

A, A2, W, B, B2, E = map(SaeId, ("a", "a2", "w", "b", "b2", "e"))
SECOND_ID = OWN_ID[:-1] + b"\x01"
IDS = OWN_ID + SECOND_ID


@pytest.fixture
def both() -> TwoDomains:
    return TwoDomains("a", "a2", "w", "b", "b2", "e")


def inserted(both: TwoDomains, request: InsertKeys) -> bytes:
    answers = both.insert_keys(request)
    both.pass_time(1.0)
    (answer,) = answers
    assert isinstance(answer, InsertedKeys), answer
    return answer.ids


def made(both: TwoDomains, request: GetKey) -> bytes:
    answers = both.get_key(request)
    both.settle()
    (answer,) = answers
    assert isinstance(answer, Keys), answer
    return b"".join(run.ids for run in answer.runs)


def voided(both: TwoDomains, request: VoidKeys, seconds: float = 0.0) -> tuple[bool, ...] | KeyhopError:
    answers = both.void_keys(request)
    both.settle()
    if seconds:
        both.pass_time(seconds)
    (answer,) = answers
    return answer.voided if isinstance(answer, VoidedKeys) else answer


def fetch(both: TwoDomains, slave: SaeId, ids: bytes, master: SaeId = A) -> bytes | KeyhopError:
    (answer,) = both.get_key_with_ids(GetKeyWithIds(slave, master, ids))
    return b"".join(run.material.reveal() for run in answer.runs) if isinstance(answer, Keys) else answer


def records(both: TwoDomains) -> int:
    return sum(len(kme.records) for network in both.networks for kme in network.kmes.values())


@pytest.mark.parametrize("master", [A, W])
@pytest.mark.parametrize("slaves", [(B,), (E,), (B, E), (B, W, A2), (W, B), (A, E)], ids=str)
@pytest.mark.parametrize("ids", [b"", IDS], ids=["drawn", "chosen"])
def test_slaves_find_the_keys_of_a_master_under_their_ids(
    both: TwoDomains, master: SaeId, slaves: tuple[SaeId, ...], ids: bytes
) -> None:
    slaves = tuple(slave for slave in slaves if slave != master)
    given = inserted(both, own(*slaves, ids=ids, master=master))
    assert given == (ids or given)
    for slave in slaves:
        assert isinstance(fetch(both, slave, given, A2 if master == A and slave != A2 else B), KeyhopError)
        assert fetch(both, slave, given, master) == KEYS
        assert isinstance(fetch(both, slave, given, master), KeyhopError)
    assert records(both) == 0


def test_an_id_is_chosen_once_also_across_domains(both: TwoDomains) -> None:
    inserted(both, own(B, keys=KEYS[:32], ids=OWN_ID))
    (again,) = both.insert_keys(own(E, keys=KEYS[32:], ids=OWN_ID))
    assert isinstance(again, BadRequest)
    assert fetch(both, B, OWN_ID) == KEYS[:32]


def test_two_masters_cannot_hand_over_the_same_id_and_the_first_keeps_it(both: TwoDomains) -> None:
    inserted(both, own(B, keys=KEYS[:32], ids=OWN_ID))
    answers = both.insert_keys(own(B, keys=KEYS[32:], ids=OWN_ID, master=A2))
    both.pass_time(1.0)
    (refusal,) = answers
    assert isinstance(refusal, Unavailable)
    both.pass_time(5.0)
    assert fetch(both, B, OWN_ID) == KEYS[:32]


def test_at_the_gateway_too_a_chosen_id_takes_nobodys_place(both: TwoDomains) -> None:
    """The gateway keeps a copy for an SAE of its own, beside what it hands over."""
    inserted(both, own(W, keys=KEYS[:32], ids=OWN_ID, master=A2))
    inserted(both, own(B, W, keys=KEYS[32:], ids=OWN_ID))
    assert fetch(both, W, OWN_ID, A2) == KEYS[:32]
    assert fetch(both, W, OWN_ID) == fetch(both, B, OWN_ID) == KEYS[32:]


@pytest.mark.parametrize("ids", [b"", IDS], ids=["drawn", "chosen"])
def test_keys_that_one_domain_does_not_take_are_recalled_everywhere(both: TwoDomains, ids: bytes) -> None:
    both.cut = True
    answers = both.insert_keys(own(B, W, A2, ids=ids))
    both.pass_time(12.0)
    (refusal,) = answers
    assert isinstance(refusal, Unavailable)
    both.cut = False
    both.pass_time(70.0)
    assert records(both) == 0


@pytest.mark.parametrize("master", [A, W])
@pytest.mark.parametrize("slaves", [(B,), (E,), (B, A2), (W, B), (B, E)], ids=str)
@pytest.mark.parametrize("chosen", [False, True])
def test_a_void_keeps_keys_from_all_slaves(
    both: TwoDomains, master: SaeId, slaves: tuple[SaeId, ...], chosen: bool
) -> None:
    slaves = tuple(slave for slave in slaves if slave != master)
    if chosen:
        ids = inserted(both, own(*slaves, ids=IDS, master=master))
    else:
        ids = made(both, GetKey(master, slaves[0], 2, additional_slaves=slaves[1:]))
    void = VoidKeys(master, slaves[0], ids, slaves[1:])
    assert voided(both, void) == (True, True)
    for slave in slaves:
        assert isinstance(fetch(both, slave, ids[:16], master), KeyhopError)
    assert voided(both, void) == (True, True)
    assert records(both) == 0
    both.network(EAST).kmes[EAST].crash()
    both.network(WEST).kmes[WEST].crash()
    both.pass_time(3.0)
    assert voided(both, void, 3.0) == (True, True)


def test_what_was_fetched_is_not_void(both: TwoDomains) -> None:
    ids = made(both, GetKey(A, B, 3))
    fetch(both, B, ids[:16])
    assert voided(both, VoidKeys(A, B, ids)) == (False, True, True)
    assert voided(both, VoidKeys(A, B, ids)) == (False, True, True)


@pytest.mark.parametrize(("master", "slave"), [(A2, B), (W, B), (A, B2), (A, E)])
def test_nobody_voids_the_keys_of_others(both: TwoDomains, master: SaeId, slave: SaeId) -> None:
    ids = made(both, GetKey(A, B))
    assert voided(both, VoidKeys(master, slave, ids)) == (False,)
    assert isinstance(fetch(both, B, ids), bytes)


def test_keys_of_two_slaves_over_there_are_voided_for_both_or_for_none(both: TwoDomains) -> None:
    ids = made(both, GetKey(A, B, additional_slaves=(B2,)))
    assert voided(both, VoidKeys(A, B, ids)) == (False,)
    assert isinstance(fetch(both, B, ids), bytes)
    assert voided(both, VoidKeys(A, B, ids, (B2,))) == (False,)
    assert isinstance(fetch(both, B2, ids), bytes)


@pytest.mark.parametrize("master", [A, W])
def test_a_void_that_is_not_answered_goes_on_and_is_told_when_asked_again(both: TwoDomains, master: SaeId) -> None:
    ids = made(both, GetKey(master, B))
    both.cut = True
    silence = voided(both, VoidKeys(master, B, ids), 7.0)
    assert isinstance(silence, Unavailable)
    assert silence.message == "KME west does not say which of the keys are void"
    both.cut = False
    both.pass_time(10.0)
    assert isinstance(fetch(both, B, ids, master), KeyhopError)
    assert voided(both, VoidKeys(master, B, ids)) == (True,)


@pytest.mark.parametrize("lost", [VOID, ACK])
def test_a_void_whose_answer_is_lost_is_asked_for_again(both: TwoDomains, lost: str) -> None:
    ids = made(both, GetKey(A, B))
    both.lose_answers.append(lost)
    answers = both.void_keys(VoidKeys(A, B, ids))
    both.pass_time(4.0)
    (answer,) = answers
    assert isinstance(answer, VoidedKeys)
    assert answer.voided == (True,)


def test_what_the_other_domain_has_forgotten_is_not_called_void(both: TwoDomains) -> None:
    """The slave may have fetched it before."""
    ids = made(both, GetKey(A, B))
    fetch(both, B, ids)
    received = both.network(EAST).kmes[EAST].kme.gateway[WEST].received
    received.lifetime_s = 0.0
    both.pass_time(1.0)
    received.expire()
    assert len(received) == 0
    received.lifetime_s = 3600.0
    assert voided(both, VoidKeys(A, B, ids)) == (False,)
    assert voided(both, VoidKeys(A, B, ids)) == (False,)


@pytest.mark.parametrize("more", [b"", SECOND_ID], ids=["alone", "beside another"])
def test_what_was_handed_over_before_is_not_taken_for_other_keys_under_its_id(both: TwoDomains, more: bytes) -> None:
    """alice is set up anew, with an empty store, so nothing there knows that the ID was used. The first key stays."""
    inserted(both, own(B, keys=KEYS[:32], ids=OWN_ID))
    both.west.kmes[ALICE].start({})
    both.pass_time(3.0)
    both.west.produce(32)
    both.pass_time(3.0)
    others = KEYS[::-1] if more else KEYS[32:]
    answers = both.insert_keys(own(B, keys=others, ids=OWN_ID + more))
    both.pass_time(12.0)
    (refusal,) = answers
    assert isinstance(refusal, Unavailable)
    assert fetch(both, B, OWN_ID) == KEYS[:32]
    assert not more or isinstance(fetch(both, B, more), KeyhopError)


def test_what_is_refused_at_the_gateway_takes_back_no_earlier_key_of_its_id(both: TwoDomains) -> None:
    """Keys are forgotten there before what was handed over is, so the ID can be chosen again, and is refused late."""
    inserted(both, own(B, keys=KEYS[:32], ids=OWN_ID, master=W))
    both.west.kmes[WEST].records.endings.drop(chosen_record_id(W, OWN_ID))
    answers = both.insert_keys(own(B, keys=KEYS[32:], ids=OWN_ID, master=W))
    both.pass_time(5.0)
    (refusal,) = answers
    assert isinstance(refusal, Unavailable)
    assert fetch(both, B, OWN_ID, W) == KEYS[:32]
