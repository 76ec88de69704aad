"""keyhop_insert and keyhop_void as an SAE writes them: in the standard's formats, read as strictly."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.errors import BadRequest
from keyhop.core.ids import SaeId, key_id_from_text
from keyhop.service.etsi014.answers import encode_answer
from keyhop.service.etsi014.masters_keys import read_insertion, read_void
from keyhop.service.etsi014.target import ALLOWED_METHODS, split_path
from keyhop.service.requests import InsertedKeys, InsertKeys, VoidedKeys, VoidKeys

A, B, C = SaeId("a"), SaeId("b"), SaeId("c")
ID = "0190d3c8-f1a2-7abc-9def-0123456789ab"
OTHER = "0190d3c8-f1a2-7abc-9def-0123456789ac"


def insertion(**members: Any) -> InsertKeys:
    return read_insertion(A, B, json.dumps(members).encode())


def void(**members: Any) -> VoidKeys:
    return read_void(A, B, json.dumps(members).encode())


def text(key: bytes) -> str:
    return b64encode(key).decode()


def test_both_are_posts_at_paths_of_our_own() -> None:
    for verb in (b"keyhop_insert", b"keyhop_void"):
        assert split_path(b"/api/v1/keys/b/" + verb) == (b"b", verb)
        assert ALLOWED_METHODS[verb] == ("POST",)


@given(st.integers(1, 64).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1)))
def test_keys_in_their_order(keys: list[bytes]) -> None:
    request = insertion(keys=[{"key": text(key)} for key in keys], additional_slave_SAE_IDs=["c"])
    assert (request.master, request.slave, request.additional_slaves) == (A, B, (C,))
    assert request.keys.reveal() == b"".join(keys)
    assert (request.size_bytes, request.count, request.ids) == (len(keys[0]), len(keys), b"")


def test_ids_of_their_own_in_either_case() -> None:
    request = insertion(keys=[{"key": "AAAA", "key_ID": ID.upper()}, {"key": "BBBB", "key_ID": OTHER}])
    assert request.ids == key_id_from_text(ID) + key_id_from_text(OTHER)


@pytest.mark.parametrize(
    "keys",
    [
        None,
        [],
        {},
        [{}],
        ["AAAA"],
        [{"key": None}],
        [{"key": 5}],
        [{"key": ""}],
        [{"key": "AAA"}],
        [{"key": "AAA*"}],
        [{"key": "AA AA"}],
        [{"key": "AAAA\n"}],
        [{"key": "QR=="}],  # bits that mean nothing
        [{"key": "QQ"}],
        [{"key": "QQ===="}],
        [{"key": "AA-_"}],
        [{"key": "ÄÄÄÄ"}],
        [{"key": "AAAA"}, {"key": "AAAAAAAA"}],
        [{"key": "AAAA", "key_ID": "x"}],
        [{"key": "AAAA", "key_ID": ID}, {"key": "AAAA"}],
        [{"key": "AAAA", "key_id": ID}],
        [{"key": "AAAA", "key_extension": {}}],
    ],
)
def test_bad_keys(keys: Any) -> None:
    with pytest.raises(BadRequest):
        insertion(keys=keys)


@pytest.mark.parametrize(
    "members",
    [
        {"number": 1},
        {"size": 24},
        {"extension_mandatory": []},
        {"additional_slave_SAE_IDs": "c"},
        {"additional_slave_SAE_IDs": ["b"]},
        {"additional_slave_SAE_IDs": ["c", "c"]},
        {"additional_slave_SAE_IDs": ["c d"]},
    ],
)
def test_bad_members(members: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        insertion(keys=[{"key": "AAAA"}], **members)
    if "number" not in members and "size" not in members:
        with pytest.raises(BadRequest):
            void(key_IDs=[{"key_ID": ID}], **members)


@pytest.mark.parametrize("read", [read_insertion, read_void])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"\xff",
        b'{"keys":[{"key":"AAAA"}],"keys":[{"key":"AAAA"}]}',
        b"[" * 100,
        b" " * 65537,
    ],
)
def test_bodies_that_are_none(read: Any, body: bytes) -> None:
    with pytest.raises(BadRequest):
        read(A, B, body)


@given(st.binary(min_size=8, max_size=40), st.integers(0, 60), st.sampled_from(['"', "*", "\x00", "é", "}"]))
def test_no_refusal_quotes_key_bytes(key: bytes, at: int, wrong: str) -> None:
    key_text = text(key)
    broken = key_text[: at % len(key_text)] + wrong + key_text[at % len(key_text) :]
    body = b'{"keys":[{"key":"%b"}]}' % broken.encode()
    with pytest.raises(BadRequest) as refused:
        read_insertion(A, B, body)
    error: BaseException | None = refused.value
    while error is not None:
        assert key_text[:8] not in repr(error)
        assert key_text[-8:] not in repr(error)
        error = error.__cause__ or error.__context__
    assert key_text not in repr(insertion(keys=[{"key": key_text}]))


def test_ids_to_void() -> None:
    request = void(key_IDs=[{"key_ID": OTHER, "key_ID_extension": {}}, {"key_ID": ID}], key_IDs_extension=None)
    assert request == VoidKeys(A, B, key_id_from_text(OTHER) + key_id_from_text(ID))
    assert void(key_IDs=[{"key_ID": ID}], additional_slave_SAE_IDs=["c"]).additional_slaves == (C,)


@pytest.mark.parametrize(
    "ids", [None, [], [{}], [ID], [{"key_ID": "x"}], [{"key_ID": ID}, {"key_ID": ID.upper()}], [{"key_ID": ID, "x": 1}]]
)
def test_bad_ids_to_void(ids: Any) -> None:
    with pytest.raises(BadRequest):
        void(key_IDs=ids)


def test_answers_are_key_ids() -> None:
    ids = key_id_from_text(ID) + key_id_from_text(OTHER)
    inserted = body_of(encode_answer(InsertedKeys(ids)))
    assert inserted == {"key_IDs": [{"key_ID": ID}, {"key_ID": OTHER}]}
    voided = body_of(encode_answer(VoidedKeys(ids, (True, False))))
    assert voided == {
        "key_IDs": [
            {"key_ID": ID, "key_ID_extension": {"keyhop_voided": True}},
            {"key_ID": OTHER, "key_ID_extension": {"keyhop_voided": False}},
        ]
    }


def body_of(answer: bytes) -> Any:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    return json.loads(body)
