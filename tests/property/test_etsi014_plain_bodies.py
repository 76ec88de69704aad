"""The quick way of reading a body never takes what the strict one refuses, and never reads it differently."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.errors import BadRequest
from keyhop.core.ids import SaeId, key_id_from_text, key_ids_from_texts
from keyhop.service.etsi014 import masters_keys, models
from keyhop.service.etsi014.body import MAX_UNUSUAL_BYTES
from keyhop.service.etsi014.masters_keys import read_insertion, read_void
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
keys = st.sampled_from(
    ['{"key":"AAAA"}', '{"key":"AAA="}', '{"key":"AAAA","key":"AAAA"}', f'{{"key":"AAAA","key_ID":"{ID}"}}']
)
inserted = st.tuples(
    st.lists(keys | objects, max_size=3).map(",".join),
    st.sampled_from(["", ',"additional_slave_SAE_IDs":["c"]', ',"additional_slave_SAE_IDs":null', ',"keys":[]']),
).map(lambda drawn: '{"keys":[%s]%s}' % drawn)  # noqa: UP031 (braces)
bodies = objects | plain_objects | inserted | st.lists(plain_items | objects | twice, max_size=4).map(listed)
spoilt = st.tuples(
    bodies, st.integers(0, 200), st.sampled_from(["", " ", ",", "}", '"', "\\", "\x00", "\ufeff", ":"])
).map(lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] :])


WAYS: list[tuple[Any, Any]] = [
    (models, read_key_request),
    (models, read_key_ids),
    (masters_keys, read_insertion),
    (masters_keys, read_void),
]


def outcome(read: Callable[[SaeId, SaeId, bytes], Any], body: bytes) -> Any:
    try:
        return read(A, B, body)
    except BadRequest as error:
        return error.message


@given(spoilt)
def test_both_ways_agree(text: str) -> None:
    body = text.encode("utf-8", "surrogatepass")
    for module, read in WAYS:
        quick = outcome(read, body)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "plain", lambda _body, _decoder, _members: None)
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
        patch.setattr(models, "key_ids_from_texts", lambda _texts: pytest.fail("one by one"))
        assert read_key_ids(A, B, body).key_ids == tuple(one.bytes for one in uuids)


@given(st.lists(ids, max_size=3))
def test_many_texts_of_ids_mean_what_each_one_means(texts: list[str]) -> None:
    def each() -> bytes | str:
        try:
            return b"".join(map(key_id_from_text, texts))
        except BadRequest as error:
            return error.message

    def all_at_once() -> bytes | str:
        try:
            return key_ids_from_texts(texts)
        except BadRequest as error:
            return error.message

    assert all_at_once() == each()


@pytest.mark.parametrize(
    ("read", "one", "rest"),
    [
        (read_key_ids, '{"key_ID":"%s"}', '"key_IDs":[%s]'),
        (read_void, '{"key_ID": "%s"}', '"additional_slave_SAE_IDs":["c"],"key_IDs":[%s]'),
        (read_insertion, '{"key":"AAAA","key_ID":"%s"}', '"keys":[%s]'),
    ],
)
def test_lists_may_be_larger_than_what_is_unusual(read: Any, one: str, rest: str) -> None:
    items = ",".join(one % UUID(int=n) for n in range(600))
    body = "{" + rest % items + "}"
    assert len(body) > MAX_UNUSUAL_BYTES
    assert not isinstance(outcome(read, body.encode()), str)
    assert "of more than 8192 bytes" in outcome(read, body.replace("{", '{"key_IDs_extension":{},', 1).encode())
