"""Strict JSON: what is refused, what it may cost, and that nothing good is refused."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.errors import BadRequest
from keyhop.service.etsi014.body import (
    MAX_BODY_BYTES,
    MAX_CONTAINERS,
    MAX_UNUSUAL_BYTES,
    check_content_type,
    parse_json,
)
from keyhop.service.strict_json import MAX_DEPTH

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=8),
    max_leaves=30,
)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(values)
def test_good_json_comes_back_as_it_was_unless_it_is_too_deep(value: Any) -> None:
    body = json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")
    if depth(value) > MAX_DEPTH:
        with pytest.raises(BadRequest):
            parse_json(body)
    else:
        assert parse_json(body) == value


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:\\ \n0aeE.-u', max_size=200).map(str.encode))
def test_rubbish_is_refused_or_means_what_the_standard_library_says(body: bytes) -> None:
    try:
        value = parse_json(body)
    except BadRequest:
        return
    assert value == json.loads(body.decode())


def nested(levels: int, opening: str, closing: str) -> bytes:
    return (opening * levels + "1" + closing * levels).encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"]{":', "}]")])
def test_nesting_is_bounded(opening: str, closing: str) -> None:
    levels = MAX_DEPTH // (2 if len(opening) > 6 else 1)
    assert depth(parse_json(nested(levels, opening, closing))) == MAX_DEPTH
    with pytest.raises(BadRequest, match="deeper"):
        parse_json(nested(levels + 1, opening, closing))


def test_the_number_of_objects_is_bounded() -> None:
    items = ["{}"] * (MAX_CONTAINERS - 1)
    assert len(parse_json(("[" + ",".join(items) + "]").encode())) == MAX_CONTAINERS - 1
    with pytest.raises(BadRequest, match="at most 512 objects and arrays"):
        parse_json(("[" + ",".join([*items, "{}"]) + "]").encode())


def test_a_whole_surrogate_pair_and_what_only_looks_like_half_of_one_are_good() -> None:
    assert parse_json(b'["\\ud83d\\udd11", "\\\\ud800"]') == ["\U0001f511", "\\ud800"]


def test_wide_bodies_are_not_deep() -> None:
    body = json.dumps({"key_IDs": [{"key_ID": "]}[{"}] * 255}).encode()
    assert len(parse_json(body)["key_IDs"]) == 255


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"a":1,"a":1}', "twice"),
        (b'[{"x":{"a":1,"\\u0061":2}}]', "twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":1e999}', "out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"{'a':1}", "not valid JSON"),
        (b'{"a":1} x', "not valid JSON"),
        (b'{"a":"\x00"}', "not valid JSON"),
        (b'\xef\xbb\xbf{"a":1}', "not valid JSON"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":"\\ud800"}', "half a surrogate pair"),
        (b'[[{"\\uDC00\\ud800":1}]]', "half a surrogate pair"),
        (b" " * (MAX_UNUSUAL_BYTES + 1), "of more than 8192 bytes"),
        (b" " * (MAX_BODY_BYTES + 1), "at most 65536 bytes"),
    ],
)
def test_refusals(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        parse_json(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * MAX_UNUSUAL_BYTES,
        b'"' + b'\\"' * (MAX_UNUSUAL_BYTES // 2 - 30) + b"[" * 30,
        b"[" * 30 + b'"\\' * (MAX_UNUSUAL_BYTES // 2 - 20),
        b"[" * 30 + b'"' * (MAX_UNUSUAL_BYTES - 31),
        b"[{}" * (MAX_UNUSUAL_BYTES // 3),
        b"[" + b"1," * (MAX_UNUSUAL_BYTES // 2 - 2) + b"]",
        b"[" + b"{}," * (MAX_UNUSUAL_BYTES // 3 - 2) + b"]",
    ],
)
def test_the_worst_bodies_cost_little(body: bytes) -> None:
    """Quadratic work would take seconds here; linear work takes a few milliseconds."""
    start = time.process_time()
    with pytest.raises(BadRequest):
        parse_json(body)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    "value",
    [b"application/json", b"Application/JSON", b"application/json; charset=utf-8", b'application/json;charset="UTF-8"'],
)
def test_content_types_that_clients_send(value: bytes) -> None:
    check_content_type([(b"host", b"x"), (b"content-type", value)])


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b"text/json"],
        [b"application/json", b"application/json"],
        [b"application/json; charset=latin-1"],
        [b"application/json; charset=utf-8; charset=latin-1"],
        [b"application/jsonx"],
        [b"text/plain, application/json"],
    ],
)
def test_other_content_types_are_refused(values: list[bytes]) -> None:
    with pytest.raises(BadRequest, match="content type shall be application/json"):
        check_content_type([(b"content-type", value) for value in values])
