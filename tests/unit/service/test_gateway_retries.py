"""A KMS repeats keys that failed in the other domain: no key is lost that a master was given, none is given twice."""

import base64
import json
from functools import partial

import pytest
from masters_in_a_line import KEYS, OWN_ID

from keyhop.core.errors import BadRequest, KeyhopError, Unavailable
from keyhop.core.ids import KmeId, SaeId, key_id_text
from keyhop.core.keys import KeyMaterial
from keyhop.core.record_ids import chosen_record_id
from keyhop.network import wire
from keyhop.service.etsi020.calls import EXT_KEYS
from keyhop.service.etsi020.interchange import Other
from keyhop.service.etsi020.problems import Problem
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys, InsertKeys, Keys
from keyhop.service.undoing import LATE_S
from keyhop.testing.domains import ALICE, BOB, EAST, WEST, Domain, Domains
from keyhop.testing.network import VirtualNetwork

CAROL = KmeId("carol")
A, B, C = SaeId("a"), SaeId("b"), SaeId("c")


class Retrying(Domains):
    """alice ── west ══ east ── bob, carol; keys are handed over in synchronous calls, which are repeated.

    What east carries to a KME in `unreachable`, or of keys in `lost`, is lost; so are answers to what these carried.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("keyhop.testing.domains.Other", partial(Other, synchronous=True))
        self.unreachable: set[KmeId] = set()
        self.lost: set[bytes] = set()
        send = VirtualNetwork._send

        def lossy(network: VirtualNetwork, source: KmeId, target: KmeId, data: bytes) -> None:
            body = wire.decode(data).body
            match body:
                case wire.Carry() if source == EAST:
                    lost = target in self.unreachable or body.ids in self.lost
                case _:
                    lost = isinstance(body, wire.Carried) and target in self.unreachable
            if not lost:
                send(network, source, target, data)

        monkeypatch.setattr(VirtualNetwork, "_send", lossy)
        super().__init__(
            {A: ALICE, B: BOB, C: CAROL},
            Domain((ALICE, WEST), {WEST: {EAST: ("b*", "c*")}}),
            Domain((BOB, CAROL, EAST), {EAST: {WEST: ("a*",)}}),
        )

    def fetch(self, slave: SaeId, ids: bytes) -> bytes | KeyhopError:
        (answer,) = self.get_key_with_ids(GetKeyWithIds(slave, A, ids))
        return b"".join(run.material.reveal() for run in answer.runs) if isinstance(answer, Keys) else answer


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Retrying:
    return Retrying(monkeypatch)


def test_what_a_master_is_given_is_not_taken_back_because_an_earlier_try_failed(both: Retrying) -> None:
    both.unreachable = {BOB}
    answers = both.get_key(GetKey(A, B))
    both.pass_time(5.5)
    both.unreachable = set()
    both.pass_time(LATE_S + 15.0)
    (answer,) = answers
    assert isinstance(answer, Unavailable)
    assert not len(both.network(BOB).kmes[BOB].records)


def test_after_a_failed_try_the_next_key_arrives(both: Retrying) -> None:
    both.unreachable = {BOB}
    both.get_key(GetKey(A, B))
    both.pass_time(12.0)
    both.unreachable = set()
    answers = both.get_key(GetKey(A, B))
    both.pass_time(LATE_S + 15.0)
    (answer,) = answers
    assert isinstance(answer, Keys)
    (run,) = answer.runs
    assert both.fetch(B, run.ids) == run.material.reveal()


def test_who_fetched_a_key_of_a_try_that_failed_does_not_find_it_again(both: Retrying) -> None:
    both.unreachable = {CAROL}
    answers = both.insert_keys(InsertKeys(A, B, KeyMaterial(KEYS[:32]), 32, OWN_ID, (C,)))
    both.pass_time(3.0)
    assert answers == []
    assert both.fetch(B, OWN_ID) == KEYS[:32]
    both.pass_time(2.5)
    both.unreachable = set()
    both.pass_time(10.0)
    assert isinstance(both.fetch(B, OWN_ID), BadRequest)
    assert isinstance(both.fetch(C, OWN_ID), BadRequest)
    (answer,) = answers
    assert isinstance(answer, Unavailable)


def test_who_fetched_a_key_whose_arrival_was_not_heard_of_does_not_find_it_again(both: Retrying) -> None:
    both.unreachable = {EAST}
    answers = both.insert_keys(InsertKeys(A, B, KeyMaterial(KEYS[:32]), 32, OWN_ID))
    both.settle()
    assert both.fetch(B, OWN_ID) == KEYS[:32]
    both.unreachable = set()
    both.network(BOB).kmes[BOB].crash()
    both.pass_time(3.0)
    (answer,) = answers
    assert isinstance(answer, InsertedKeys)
    assert isinstance(both.fetch(B, OWN_ID), BadRequest)


def test_of_keys_of_two_sizes_what_arrived_is_taken_back_when_the_others_do_not(both: Retrying) -> None:
    east, bob = both.network(EAST).kmes[EAST], both.network(BOB).kmes[BOB]
    sizes = {bytes([n]) * 16: KEYS[:n] for n in (16, 32)}
    both.lost = {chosen_record_id(A, bytes([32]) * 16)}
    keys = [{"key_id": key_id_text(i), "value": base64.b64encode(k).decode()} for i, k in sizes.items()]
    body = json.dumps({"keys": keys, "initiator_sae_id": A, "target_sae_ids": [B]}).encode()
    answers: list[object] = []
    east.kme.gateway[WEST].handle("POST", EXT_KEYS, body, answers.append)
    both.pass_time(3.0)
    assert (len(bob.records), answers) == (1, [])
    both.pass_time(3.0)
    assert isinstance(answers[0], Problem)
    assert len(bob.records) == 0
    both.pass_time(LATE_S + 2.0)
    assert len(east.records.outgoing) == 0
