"""From path, query and body to the service's vocabulary, and every way in which that is refused."""

import json
import uuid
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.errors import BadRequest
from keyhop.core.ids import KmeId, SaeId
from keyhop.service.etsi014.models import encode_status, read_key_ids, read_key_request
from keyhop.service.etsi014.target import number_and_size, refuse_query, sae_from_segment, single_key_id, split_path
from keyhop.service.requests import GetKey, Status

A, B = SaeId("alicesae"), SaeId("bobsae")
ID = "550e8400-e29b-41d4-a716-446655440000"


def key_request(**members: Any) -> GetKey:
    return read_key_request(A, B, json.dumps(members).encode())


@given(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=64))
def test_any_sae_id_survives_percent_encoding(name: str) -> None:
    path = f"/api/v1/keys/{quote(name, safe='')}/enc_keys".encode()
    split = split_path(path)
    assert split is not None
    assert (sae_from_segment(split[0]), split[1]) == (name, b"enc_keys")


@pytest.mark.parametrize(
    "path",
    [b"/", b"", b"/api/v1/keys/x/enc_keys/", b"/api/v1/keys/x", b"/api/v2/keys/x/status", b"//api/v1/keys/x/status"],
)
def test_other_paths_are_nobody(path: bytes) -> None:
    assert split_path(path) is None


@pytest.mark.parametrize("segment", [b"", b"%", b"%4", b"%zz", b"%ff", b"a%20b", b"%00", b"x" * 65])
def test_bad_sae_ids_in_the_path(segment: bytes) -> None:
    with pytest.raises(BadRequest):
        sae_from_segment(segment)


def test_query_of_enc_keys() -> None:
    assert number_and_size(b"") == (None, None)
    assert number_and_size(b"number=3") == (3, None)
    assert number_and_size(b"size=0128&number=0") == (0, 128)
    assert number_and_size(b"number=%33&size=2147483648") == (3, 2**31)


@pytest.mark.parametrize(
    "query",
    [
        b"number=2147483649",
        b"number=00000000001",
        b"number=+1",
        b"number=-1",
        b"number=1.0",
        b"number=1e9",
        b"number=0x1",
        b"number= 1",
        b"number=%D9%A1",  # an Arabic digit
        b"number=1&number=2",
        b"number",
        b"number=",
        b"&",
        b"number=1&",
        b"Number=1",
        b"key_ID=1",
        b"number=%zz",
        b"number=%ff",
        b"a" * 257,
    ],
)
def test_bad_queries_of_enc_keys(query: bytes) -> None:
    with pytest.raises(BadRequest):
        number_and_size(query)


def test_query_of_dec_keys() -> None:
    assert single_key_id(b"key_ID=" + ID.upper().encode()) == uuid.UUID(ID).bytes
    for query in (b"", b"key_ID=", b"key_ID=1", f"key_ID={ID}&key_ID={ID}".encode(), f"number=1&key_ID={ID}".encode()):
        with pytest.raises(BadRequest):
            single_key_id(query)
    with pytest.raises(BadRequest):
        refuse_query(b"x")


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"number":null}'])
def test_a_request_without_wishes(body: bytes) -> None:
    assert read_key_request(A, B, body) == GetKey(A, B)


def test_a_request_with_every_wish() -> None:
    request = key_request(
        number=3,
        size=512,
        additional_slave_SAE_IDs=["carolsae", "davesae"],
        extension_mandatory=[{"keyhop_route_type": "direct"}],
        extension_optional=[{"keyhop_max_age_s": 2.5}, {"keyhop_provenance": True}, {"abc_what": {"x": [1]}}],
    )
    assert request == GetKey(
        A,
        B,
        number=3,
        size_bits=512,
        additional_slaves=(SaeId("carolsae"), SaeId("davesae")),
        route="direct",
        route_strict=True,
        max_age_s=2.5,
        provenance=True,
    )


@pytest.mark.parametrize("member", ["number", "size"])
@pytest.mark.parametrize("value", [True, 1.0, 1.5, "1", -1, 2**31 + 1, [1], {}])
def test_integers_are_integers(member: str, value: object) -> None:
    with pytest.raises(BadRequest, match=member):
        key_request(**{member: value})


@pytest.mark.parametrize("value", [0, 1, 7, 10**9, 2**31])
def test_policy_ranges_are_not_for_the_parser(value: int) -> None:
    assert key_request(number=value, size=value) == GetKey(A, B, number=value, size_bits=value)


@pytest.mark.parametrize(
    "members",
    [
        {"numbr": 1},
        {"additional_slave_SAE_IDs": "carolsae"},
        {"additional_slave_SAE_IDs": [1]},
        {"additional_slave_SAE_IDs": ["a b"]},
        {"additional_slave_SAE_IDs": ["\ud800"]},
        {"additional_slave_SAE_IDs": ["carolsae", "carolsae"]},
        {"additional_slave_SAE_IDs": ["bobsae"]},
        {"extension_mandatory": {}},
        {"extension_mandatory": [1]},
        {"extension_mandatory": [{}]},
        {"extension_mandatory": [{"": 1}]},
        {"extension_mandatory": [{"x" * 129: 1}]},
        {"extension_mandatory": [{"keyhop_route_type": "any", "keyhop_max_age_s": 1}]},
        {"extension_optional": [{"x": 1}, {"x": 2}]},
        {"extension_optional": [{f"x{i}": 1} for i in range(65)]},
    ],
)
def test_bad_members(members: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        key_request(**members)


def test_unknown_mandatory_parameters_are_all_named() -> None:
    names = ["abc_route", "keyhop_route_type", "abc_\u00e9"]
    with pytest.raises(BadRequest) as refused:
        key_request(extension_mandatory=[{name: "wrong"} for name in names])
    assert refused.value.message == "not all extension_mandatory parameters are supported"
    assert [detail["extension_mandatory"] for detail in refused.value.details] == ["abc_route", "abc_\u00e9"]


BAD_VALUES = [
    {"keyhop_route_type": "indirect"},
    {"keyhop_route_type": ["direct"]},
    {"keyhop_max_age_s": 0},
    {"keyhop_max_age_s": -1},
    {"keyhop_max_age_s": True},
    {"keyhop_max_age_s": "5"},
    {"keyhop_max_age_s": 10**300},
    {"keyhop_provenance": 1},
]


@pytest.mark.parametrize("parameter", BAD_VALUES)
def test_values_that_cannot_be_met(parameter: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as refused:
        key_request(extension_mandatory=[parameter])
    assert refused.value.message == "not all extension_mandatory request options could be met"
    assert refused.value.details[0]["extension_mandatory"] == next(iter(parameter))
    assert key_request(extension_optional=[parameter]) == GetKey(A, B)


def test_mandatory_goes_before_optional() -> None:
    request = key_request(extension_optional=[{"keyhop_max_age_s": 1}], extension_mandatory=[{"keyhop_max_age_s": 60}])
    assert request == GetKey(A, B, max_age_s=60.0, max_age_strict=True)


def ids_body(ids: list[str]) -> bytes:
    return json.dumps({"key_IDs": [{"key_ID": text} for text in ids], "key_IDs_extension": {}}).encode()


@given(st.lists(st.uuids(), min_size=1, max_size=40, unique=True), st.booleans())
def test_key_ids_in_order(ids: list[uuid.UUID], upper: bool) -> None:
    texts = [str(key_id).upper() if upper else str(key_id) for key_id in ids]
    request = read_key_ids(B, A, ids_body(texts))
    assert (request.slave, request.master) == (B, A)
    assert request.key_ids == tuple(key_id.bytes for key_id in ids)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        ID[:-1],
        ID + "0",
        ID.replace("-", ""),
        ID.replace("-", " "),
        "{" + ID[1:-1] + "}",
        ID[:-1] + "g",
        ID[:-1] + " ",
        ID[:-1] + "-",
        ID[:-1] + "\u0661",
        ID[:8] + "0" + ID[9:],
    ],
)
@pytest.mark.parametrize("others", [[], [str(uuid.UUID(int=1)), str(uuid.UUID(int=2))]])
def test_one_bad_uuid_refuses_all(wrong: str, others: list[str]) -> None:
    with pytest.raises(BadRequest, match="UUID"):
        read_key_ids(B, A, ids_body([*others, wrong]))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"key_IDs":[]}',
        b'{"key_IDs":[{}]}',
        b'{"key_IDs":["x"]}',
        b'{"key_IDs":[{"key_ID":1}]}',
        b'{"key_ID":"' + ID.encode() + b'"}',
    ],
)
def test_bad_bodies_of_dec_keys(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_key_ids(B, A, body)


def test_status_has_the_standards_spellings() -> None:
    status = Status(KmeId("a"), KmeId("b"), A, B, 256, 1, 2, 3, 4, 5, 6)
    assert json.loads(encode_status(status)) == {
        "source_KME_ID": "a",
        "target_KME_ID": "b",
        "master_SAE_ID": "alicesae",
        "slave_SAE_ID": "bobsae",
        "key_size": 256,
        "stored_key_count": 1,
        "max_key_count": 2,
        "max_key_per_request": 3,
        "max_key_size": 4,
        "min_key_size": 5,
        "max_SAE_ID_count": 6,
    }
