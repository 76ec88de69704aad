"""Keys of two SAEs at one KME are no affair of others: no peer keeps them from these, unless the KME itself may be an
old copy of another one."""

import pytest

from keyhop.core.errors import KeyhopError, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.record_ids import is_chosen
from keyhop.network.windows import WAIT_S
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys, InsertKeys, Keys, VoidedKeys, VoidKeys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")
B, B2 = SaeId("b"), SaeId("b2")
CHOSEN = bytes.fromhex("00112233445570008000aabbccddeeff")


class Network(VirtualNetwork):
    """Of bob's neighbours alice comes first."""

    def __init__(self) -> None:
        super().__init__({SaeId("a"): ALICE, B: BOB, B2: BOB, SaeId("c"): CAROL})

    def key(self) -> bytes:
        answers = self.get_key(BOB, GetKey(B, B2))
        self.settle()
        (keys,) = answers
        assert isinstance(keys, Keys)
        return keys.runs[0].ids

    def fetch(self, key_id: bytes) -> list[Keys | KeyhopError]:
        answers = self.get_key_with_ids(BOB, GetKeyWithIds(B2, B, key_id))
        self.settle()
        return answers


@pytest.fixture
def network() -> Network:
    network = Network()
    network.dead.add(ALICE)
    network.settle()
    return network


def test_a_neighbour_that_was_away_since_the_start_keeps_nobody_waiting(network: Network) -> None:
    key_id = network.key()
    (answer,) = network.fetch(key_id)
    assert isinstance(answer, Keys)
    (again,) = network.fetch(key_id)
    assert not isinstance(again, Keys)


def test_the_same_with_an_id_that_the_master_has_chosen(network: Network) -> None:
    assert is_chosen(CHOSEN)
    answers = network.insert_keys(BOB, InsertKeys(B, B2, KeyMaterial(bytes(range(32))), 32, CHOSEN))
    network.settle()
    assert isinstance(answers[0], InsertedKeys)
    (answer,) = network.fetch(CHOSEN)
    assert isinstance(answer, Keys)


def test_its_master_may_void_it_then(network: Network) -> None:
    key_id = network.key()
    answers = network.void_keys(BOB, VoidKeys(B, B2, key_id))
    network.settle()
    (voided,) = answers
    assert isinstance(voided, VoidedKeys)
    assert voided.voided == (True,)


def test_what_was_found_in_the_store_waits_for_it(network: Network) -> None:
    """The store may be an old copy, and the key was given out."""
    key_id = network.key()
    network.flush()
    network.kmes[BOB].crash()
    network.settle()
    (answer,) = network.fetch(key_id)
    assert isinstance(answer, Unavailable)
    assert ALICE in answer.message
    (voided,) = network.void_keys(BOB, VoidKeys(B, B2, key_id))
    assert isinstance(voided, Unavailable)
    network.dead.clear()
    network.pass_time(1.0)
    (answer,) = network.fetch(key_id)
    assert isinstance(answer, Keys)


def test_a_neighbour_that_notes_no_window_keeps_nobody_waiting_for_long() -> None:
    network = Network()
    network.settle()
    key_id = network.key()
    network.clock.advance(10.0)
    network.dead.add(ALICE)
    answers = network.fetch(key_id)
    assert answers == []
    network.pass_time(WAIT_S + 0.5)
    (answer,) = answers
    assert isinstance(answer, Keys)
