"""Keys of one's own, and voids: the requests that the client writes, and the answers that it takes."""

import json
from base64 import b64encode
from typing import Any
from uuid import UUID

import pytest

from keyhop.apps.client import ProtocolError, SecretBytes, Voided, calls
from keyhop.core.ids import SaeId, key_id_from_text
from keyhop.service.etsi014.masters_keys import encode_inserted, encode_voided, read_insertion, read_void
from keyhop.service.requests import InsertedKeys, VoidedKeys

ONE = UUID("0190d3c8-f1a2-7abc-9def-0123456789ab")
TWO = UUID("0190d3c8-f1a2-7abc-9def-0123456789ac")
SECRETS = (bytes(range(32)), bytes(range(32, 64)))
KEYS = tuple(map(SecretBytes, SECRETS))
A, B, C = SaeId("a"), SaeId("b"), SaeId("c")
BOTH_IDS = key_id_from_text(str(ONE)) + key_id_from_text(str(TWO))


def test_an_insertion_is_what_the_edge_reads() -> None:
    call = calls.insert_keys("b", KEYS, key_ids=[ONE, str(TWO)], additional_slaves=["c"])
    assert (call.method, call.target) == ("POST", "/api/v1/keys/b/keyhop_insert")
    request = read_insertion(A, B, call.body or b"")
    assert (request.keys.reveal(), request.size_bytes, request.ids) == (b"".join(SECRETS), 32, BOTH_IDS)
    assert request.additional_slaves == (C,)
    assert b64encode(SECRETS[0]).decode() not in repr(call)
    assert call.read(encode_inserted(InsertedKeys(BOTH_IDS))) == (ONE, TWO)


def test_without_ids_the_kme_draws_them() -> None:
    call = calls.insert_keys("b", KEYS)
    assert read_insertion(A, B, call.body or b"").ids == b""
    assert call.read(encode_inserted(InsertedKeys(BOTH_IDS))) == (ONE, TWO)


def test_a_void_is_what_the_edge_reads() -> None:
    call = calls.void_keys("b", [ONE, TWO], additional_slaves=["c"])
    assert (call.method, call.target) == ("POST", "/api/v1/keys/b/keyhop_void")
    request = read_void(A, B, call.body or b"")
    assert (request.ids, request.additional_slaves) == (BOTH_IDS, (C,))
    assert call.read(encode_voided(VoidedKeys(BOTH_IDS, (False, True)))) == Voided((TWO,), (ONE,))


@pytest.mark.parametrize(
    ("keys", "key_ids"),
    [
        ((), None),
        ((SecretBytes(b""),), None),
        ((SecretBytes(b"a"), SecretBytes(b"bc")), None),
        (KEYS, [ONE]),
        (KEYS, [ONE, ONE]),
        (KEYS, []),
        (KEYS, [ONE, "x"]),
    ],
)
def test_what_no_insertion_can_carry(keys: Any, key_ids: Any) -> None:
    with pytest.raises(ValueError, match=r"key|UUID"):
        calls.insert_keys("b", keys, key_ids=key_ids)


@pytest.mark.parametrize("key_ids", [[], [ONE, ONE], ["x"]])
def test_what_no_void_can_carry(key_ids: Any) -> None:
    with pytest.raises(ValueError, match=r"key|UUID"):
        calls.void_keys("b", key_ids)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"key_IDs":[]}', b'{"key_IDs":[{"key_ID":"x"},{"key_ID":"y"}]}'])
def test_answers_that_are_none(body: bytes) -> None:
    for call in (calls.insert_keys("b", KEYS), calls.void_keys("b", [ONE, TWO])):
        with pytest.raises(ProtocolError):
            call.read(body)


def ids(*items: tuple[UUID, Any]) -> bytes:
    return json.dumps({"key_IDs": [{"key_ID": str(i), "key_ID_extension": ext} for i, ext in items]}).encode()


@pytest.mark.parametrize(
    "items", [[(ONE, None)], [(ONE, None), (ONE, None)], [(TWO, None), (ONE, None)], [(ONE, None), (TWO, None)] * 2]
)
def test_other_ids_than_those_chosen(items: list[tuple[UUID, Any]]) -> None:
    with pytest.raises(ProtocolError):
        calls.insert_keys("b", KEYS, key_ids=[ONE, TWO]).read(ids(*items))


@pytest.mark.parametrize("told", [None, {}, {"keyhop_voided": None}, {"keyhop_voided": 1}, {"keyhop_voided": "true"}])
def test_what_is_not_said_of_every_key_is_not_void(told: Any) -> None:
    with pytest.raises(ProtocolError):
        calls.void_keys("b", [ONE, TWO]).read(ids((ONE, {"keyhop_voided": True}), (TWO, told)))
