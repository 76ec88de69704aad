"""The quick way of reading a body never takes what the strict one refuses, and never reads it differently."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.errors import BadRequest
from keyhop.core.ids import SaeId
from keyhop.service.etsi014 import models
from keyhop.service.etsi014.models import read_key_ids, read_key_request

A, B = SaeId("alicesae"), SaeId("bobsae")
ID = "550e8400-e29b-41d4-a716-446655440000"

ids = st.uuids().map(str) | st.sampled_from([ID, ID.upper(), ID[:-1], ID[:-1] + ":", "", "\u0661" * 36])
numbers = st.sampled_from(["0", "1", "-0", "01", "1.0", "1e3", "-1", "2147483649", "null", "true", '"1"', "[]", "NaN"])
names = st.sampled_from(["number", "size", "key_ID", "key_IDs", "key\\u005fID", "number:", "extension_optional"])
members = st.tuples(names, numbers | ids.map(json.dumps)).map(lambda both: f'"{both[0]}":{both[1]}')


def listed(items: list[str]) -> str:
    return '{"key_IDs":[%s]}' % ",".join(items)  # noqa: UP031 (braces)


objects = st.lists(members, max_size=4).map(lambda drawn: "{" + ",".join(drawn) + "}")
plain_members = st.sampled_from(['"number":1', '"number":2', '"size":8', '"size":null', '"n\\u0075mber":3'])
plain_objects = st.lists(plain_members, max_size=3).map(lambda drawn: "{" + ",".join(drawn) + "}")
plain_items = ids.map(lambda text: '{"key_ID":%s}' % json.dumps(text))  # noqa: UP031 (braces)
twice = ids.map(lambda text: '{"key_ID":%s,"key_ID":%s}' % (json.dumps(ID), json.dumps(text)))  # noqa: UP031 (braces)
bodies = objects | plain_objects | st.lists(plain_items | objects | twice, max_size=4).map(listed)
spoilt = st.tuples(
    bodies, st.integers(0, 200), st.sampled_from(["", " ", ",", "}", '"', "\\", "\x00", "\ufeff", ":"])
).map(lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] :])


def outcome(read: Callable[[SaeId, SaeId, bytes], Any], body: bytes) -> Any:
    try:
        return read(A, B, body)
    except BadRequest as error:
        return error.message


@given(spoilt)
def test_both_ways_agree(text: str) -> None:
    body = text.encode("utf-8", "surrogatepass")
    for read in (read_key_request, read_key_ids):
        quick = outcome(read, body)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(models, "_plain", lambda _body, _decoder: None)
            assert outcome(read, body) == quick


@st.composite
def long_lists(draw: st.DrawFn) -> str:
    """Items that are all alike but for their IDs, in any style; perhaps with something else amid them."""
    colon, comma = draw(st.sampled_from([":", ": ", " :\n"])), draw(st.sampled_from([",", ", ", ",\n  "]))
    extra = draw(st.sampled_from(["", ',"key_ID_extension":null', ',"key_ID":"x"', ',"key_ID_extension":{}']))
    key = draw(st.sampled_from(["key_ID", "key\\u005fID", "keyID"]))
    tail = draw(st.sampled_from(["]}", " ] }\n", '],"key_IDs_extension":{}}', "]", '],"key_IDs":[]}']))
    texts = [str(UUID(int=draw(st.integers(0, 3)) if n % 7 == 0 else n + 10)) for n in range(draw(st.integers(20, 40)))]
    if draw(st.booleans()):
        texts[draw(st.integers(0, 19))] = draw(ids.filter(lambda text: len(text) == 36) | st.just(ID.upper()))
    body = '{"key_IDs"%s[%s%s' % (  # noqa: UP031 (braces)
        colon,
        comma.join('{"%s"%s%s%s}' % (key, colon, json.dumps(text), extra) for text in texts),  # noqa: UP031
        tail,
    )
    if draw(st.booleans()):
        at = draw(st.integers(0, len(body) - 1))
        body = body[:at] + draw(st.sampled_from(["", "x", " ", '"', ",", "{", "}", "-", "g"])) + body[at + 1 :]
    return body


@given(long_lists())
def test_columns_agree_with_single_items(text: str) -> None:
    body = text.encode("utf-8", "surrogatepass")
    quick = outcome(read_key_ids, body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "ids_in_columns", lambda _body, _read: None)
        assert outcome(read_key_ids, body) == quick


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_what_programs_write_is_read_in_columns(separators: tuple[str, str]) -> None:
    uuids = [UUID(int=n) for n in range(1000)]
    body = json.dumps({"key_IDs": [{"key_ID": str(one)} for one in uuids]}, separators=separators).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "key_id_from_text", lambda text: pytest.fail("one by one"))
        assert read_key_ids(A, B, body).key_ids == tuple(one.bytes for one in uuids)
