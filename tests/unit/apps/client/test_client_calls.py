"""The requests that the client writes: paths, verbs and bodies of ETSI GS QKD 014 V1.1.1."""

import json
from urllib.parse import unquote
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.apps.client import calls

ONE = UUID("bc490419-7d60-487f-adc1-4ddcc177c139")
TWO = UUID("0a782fb5-3434-48fe-aa4d-14f41d46cf92")


def test_status_is_a_get() -> None:
    call = calls.get_status("bobsae")
    assert (call.method, call.target, call.body) == ("GET", "/api/v1/keys/bobsae/status", None)


def test_get_key_without_anything_is_a_get_without_query() -> None:
    call = calls.get_key("bobsae")
    assert (call.method, call.target, call.body) == ("GET", "/api/v1/keys/bobsae/enc_keys", None)


def test_number_and_size_stay_a_get() -> None:
    call = calls.get_key("bobsae", number=3, size_bits=512)
    assert (call.method, call.target) == ("GET", "/api/v1/keys/bobsae/enc_keys?number=3&size=512")


def test_everything_else_is_a_post_with_the_standards_spellings() -> None:
    call = calls.get_key(
        "bobsae",
        number=2,
        size_bits=128,
        additional_slaves=["carolsae"],
        extension_mandatory={"abc_route_type": "direct", "abc_max_age": 60},
        extension_optional={"abc_hint": {"deep": [True]}},
    )
    assert (call.method, call.target) == ("POST", "/api/v1/keys/bobsae/enc_keys")
    assert json.loads(call.body or b"") == {
        "number": 2,
        "size": 128,
        "additional_slave_SAE_IDs": ["carolsae"],
        "extension_mandatory": [{"abc_route_type": "direct"}, {"abc_max_age": 60}],
        "extension_optional": [{"abc_hint": {"deep": [True]}}],
    }


def test_one_key_id_is_a_get_and_two_are_a_post() -> None:
    one = calls.get_key_with_ids("alicesae", [str(ONE).upper()])
    assert (one.method, one.target) == ("GET", f"/api/v1/keys/alicesae/dec_keys?key_ID={ONE}")
    two = calls.get_key_with_ids("alicesae", [ONE, TWO])
    assert (two.method, two.target) == ("POST", "/api/v1/keys/alicesae/dec_keys")
    assert json.loads(two.body or b"") == {"key_IDs": [{"key_ID": str(ONE)}, {"key_ID": str(TWO)}]}


def test_post_can_be_forced() -> None:
    call = calls.get_key("bobsae", always_post=True)
    assert (call.method, call.target, call.body) == ("POST", "/api/v1/keys/bobsae/enc_keys", b"{}")
    call2 = calls.get_key_with_ids("alicesae", [ONE], always_post=True)
    assert (call2.method, call2.body) == (
        "POST",
        json.dumps({"key_IDs": [{"key_ID": str(ONE)}]}, separators=(",", ":")).encode(),
    )


@given(sae=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda s: s not in {".", ".."}))
def test_any_sae_id_is_one_path_segment_that_reads_back(sae: str) -> None:
    call = calls.get_key(sae, number=1)
    sent = httpx.URL("https://kme.example" + call.target).raw_path.decode()
    assert sent == call.target
    path, query = sent.split("?")
    assert query == "number=1"
    assert [unquote(part) for part in path.split("/")] == ["", "api", "v1", "keys", sae, "enc_keys"]


@pytest.mark.parametrize("sae", ["", ".", "..", "\ud800"])
def test_sae_ids_that_no_path_can_hold(sae: str) -> None:
    with pytest.raises(ValueError, match=r"SAE ID|surrogates"):
        calls.get_status(sae)


@pytest.mark.parametrize("wrong", [{"number": 0}, {"number": -1}, {"size_bits": 0}])
def test_nothing_below_one_is_asked_for(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        calls.get_key("bobsae", **wrong)  # type: ignore[arg-type]


def test_extensions_must_be_json() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        calls.get_key("bobsae", extension_optional={"x_y": object()})


@pytest.mark.parametrize("key_ids", [[], [ONE, str(ONE)], ["not-a-uuid"]])
def test_key_ids_are_uuids_and_differ(key_ids: list[UUID | str]) -> None:
    with pytest.raises(ValueError, match=r"UUID|key_ids"):
        calls.get_key_with_ids("alicesae", key_ids)


def test_a_long_list_of_ids_keeps_its_order() -> None:
    ids = [uuid4() for _ in range(50)]
    body = json.loads(calls.get_key_with_ids("alicesae", ids).body or b"")
    assert [UUID(item["key_ID"]) for item in body["key_IDs"]] == ids
