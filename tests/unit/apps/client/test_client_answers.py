"""Answers of friendly, odd and hostile KMEs."""

import base64
import copy
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.apps.client import (
    BadRequest,
    ClientError,
    KeyContainer,
    ProtocolError,
    Status,
    Unauthorised,
    Unavailable,
)
from keyhop.apps.client.answers import Answer, read_keys_by_id, read_new_keys, read_status

IDS = (UUID("bc490419-7d60-487f-adc1-4ddcc177c139"), UUID("0a782fb5-3434-48fe-aa4d-14f41d46cf92"))
SECRETS = (bytes(range(100, 132)), bytes(range(132, 164)))
STATUS = {
    "source_KME_ID": "AAAABBBBCCCCDDDD",
    "target_KME_ID": "EEEEFFFFGGGGHHHH",
    "master_SAE_ID": "IIIIJJJJKKKKLLLL",
    "slave_SAE_ID": "MMMMNNNNOOOOPPPP",
    "key_size": 352,
    "stored_key_count": 25000,
    "max_key_count": 100000,
    "max_key_per_request": 128,
    "max_key_size": 1024,
    "min_key_size": 64,
    "max_SAE_ID_count": 0,
}
CONTAINER: dict[str, Any] = {
    "keys": [
        {"key_ID": str(key_id), "key": base64.b64encode(secret).decode()}
        for key_id, secret in zip(IDS, SECRETS, strict=True)
    ]
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def read_two(body: bytes) -> KeyContainer:
    return read_new_keys(body, number=2, size_bits=256)


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = copy.deepcopy(CONTAINER)
    change(document)
    return json.dumps(document).encode()


def answer(status: int, body: bytes, *, max_bytes: int = 10_000, **headers: str) -> KeyContainer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reading = Answer(status, named, read_two, max_bytes)
    for start in range(0, len(body), 7):
        reading.receive(body[start : start + 7])
    return reading.result()


def test_status_in_our_own_names() -> None:
    status = read_status(json.dumps(STATUS | {"status_extension": {"x_y": 1}, "something_new": []}).encode())
    assert status == Status(
        source_kme_id="AAAABBBBCCCCDDDD",
        target_kme_id="EEEEFFFFGGGGHHHH",
        master_sae_id="IIIIJJJJKKKKLLLL",
        slave_sae_id="MMMMNNNNOOOOPPPP",
        key_size_bits=352,
        stored_key_count=25000,
        max_key_count=100000,
        max_key_per_request=128,
        max_key_size_bits=1024,
        min_key_size_bits=64,
        max_sae_id_count=0,
        extension={"x_y": 1},
    )


@pytest.mark.parametrize("field", STATUS)
@pytest.mark.parametrize("wrong", ["absent", None, True, 1.5, -1, 2**63, [], {}])
def test_every_field_of_a_status_is_required_with_its_type(field: str, wrong: object) -> None:
    document = {name: value for name, value in STATUS.items() if name != field}
    if wrong != "absent":
        document[field] = wrong
    with pytest.raises(ProtocolError, match="cannot be read"):
        read_status(json.dumps(document).encode())


def test_keys_with_extensions_and_unknown_fields() -> None:
    def extend(document: dict[str, Any]) -> None:
        document |= {"key_container_extension": {"x_a": 1}, "surprise": {"keys": 1}}
        document["keys"][0] |= {"key_ID_extension": {"x_b": 2}, "key_extension": ["odd"], "surprise": 3}

    container = read_two(changed(extend))
    assert [key.key_id for key in container.keys] == list(IDS)
    assert [key.secret.reveal() for key in container.keys] == list(SECRETS)
    assert container.extension == {"x_a": 1}
    assert (container.keys[0].key_id_extension, container.keys[0].key_extension) == ({"x_b": 2}, ["odd"])
    assert container.keys[0].size_bits == 256


def set_in_first(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["keys"][0].update({name: value})


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("keys"),
        lambda document: document.update(keys=None),
        lambda document: document.update(keys={}),
        lambda document: document.update(keys=[1, 2]),
        lambda document: document["keys"].pop(),
        lambda document: document["keys"].append({"key_ID": str(uuid4()), "key": "QUJD"}),
        lambda document: document["keys"][0].pop("key"),
        lambda document: document["keys"][0].pop("key_ID"),
        set_in_first("key_ID", str(IDS[1])),
        set_in_first("key_ID", str(IDS[1]).upper()),
        set_in_first("key_ID", "bc490419"),
        set_in_first("key_ID", 7),
        set_in_first("key", ""),
        set_in_first("key", "QUJD"),
        set_in_first("key", base64.b64encode(bytes(33)).decode()),
        set_in_first("key", base64.b64encode(bytes(32)).decode().rstrip("=")),
        set_in_first("key", " " + base64.b64encode(bytes(32)).decode()),
        set_in_first("key", base64.urlsafe_b64encode(b"\xff" * 32).decode()),
        set_in_first("key", list(SECRETS[0])),
        set_in_first("key", None),
    ],
)
def test_containers_that_are_refused(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(ProtocolError):
        read_two(changed(change))


def test_a_key_without_a_size_asked_for_still_has_one() -> None:
    assert read_new_keys(json.dumps(CONTAINER).encode(), number=2, size_bits=None).keys[1].size_bits == 256
    with pytest.raises(ProtocolError, match="no length"):
        read_new_keys(changed(set_in_first("key", "")), number=2, size_bits=None)


def test_fetched_keys_come_in_the_order_asked_for() -> None:
    container = read_keys_by_id(json.dumps(CONTAINER).encode(), wanted=(IDS[1], IDS[0]))
    assert [key.secret.reveal() for key in container.keys] == [SECRETS[1], SECRETS[0]]


@pytest.mark.parametrize("wanted", [IDS[:1], (*IDS, uuid4()), (IDS[0], uuid4())])
def test_fetched_keys_are_exactly_the_ones_asked_for(wanted: tuple[UUID, ...]) -> None:
    with pytest.raises(ProtocolError, match="not the ones"):
        read_keys_by_id(json.dumps(CONTAINER).encode(), wanted=wanted)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b"{" * 100_000,
        b"[" * 1_000_000,
        b'{"keys":' * 100_000,
        b'{"more":' + b"[" * 100_000,
        b'{"keys": [], "key_container_extension": NaN}',
        b'{"keys": [], "key_container_extension": 1' + b"0" * 10_000 + b"}",
        b'{"keys": [], "key_container_extension": "\xff"}',
        b'{"keys": [], "key_container_extension": "\\ud800"}',
        b"\xef\xbb\xbf" + json.dumps(CONTAINER).encode(),
        json.dumps(CONTAINER).encode("utf-16"),
        json.dumps(CONTAINER).encode() + b"{}",
    ],
)
def test_what_is_not_a_json_container(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_two(body)


@given(st.binary())
def test_any_bytes_are_a_container_or_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_two(body)


@given(data=st.data())
def test_any_json_in_any_place_is_refused_or_gives_sound_keys(data: st.DataObject) -> None:
    document = copy.deepcopy(CONTAINER)
    places: list[tuple[Any, Any]] = [(document, "keys"), (document["keys"], 0)]
    places += [(document["keys"][0], name) for name in ("key", "key_ID", "key_extension", "key_ID_extension", "new")]
    holder, name = data.draw(st.sampled_from(places))
    holder[name] = data.draw(JSON)
    try:
        container = read_two(json.dumps(document).encode())
    except ProtocolError as error:
        assert_no_secret(error)
        return
    assert [key.key_id for key in container.keys] == list(IDS)
    assert [key.secret.reveal() for key in container.keys] == list(SECRETS)


@given(cut=st.integers(0, 200), junk=st.binary(max_size=3), status=st.sampled_from([200, 400, 401, 503, 500]))
def test_no_error_quotes_a_key(cut: int, junk: bytes, status: int) -> None:
    body = json.dumps(CONTAINER).encode()
    cut = min(cut, len(body) - 1)
    try:
        answer(status, body[:cut] + junk + body[cut + 1 :])
    except ClientError as error:
        assert_no_secret(error)


def assert_no_secret(error: BaseException) -> None:
    # Not by way of a suppressed cause either: error reporters walk those.
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = f"{error} {error!r} {vars(error)}"
    for secret in SECRETS:
        assert base64.b64encode(secret).decode()[4:20] not in shown
        assert repr(secret)[4:20] not in shown


def test_extensions_can_be_printed_without_end_of_stack() -> None:
    def nested(levels: int) -> Any:
        return json.loads("[" * levels + "]" * levels)

    assert read_two(changed(set_in_first("key_extension", nested(20)))).keys[0].key_extension == nested(20)
    for change in (
        set_in_first("key_extension", nested(40)),
        set_in_first("key_ID_extension", {"x_y": nested(40)}),
        lambda document: document.update(key_container_extension=nested(40)),
    ):
        with pytest.raises(ProtocolError, match="levels deep"):
            read_two(changed(change))
    with pytest.raises(ProtocolError, match="levels deep"):
        read_status(json.dumps(STATUS | {"status_extension": nested(40)}).encode())
    with pytest.raises(BadRequest) as error:
        answer(400, json.dumps({"message": "no", "details": [{"x": nested(40)}, {"y": 1}]}).encode())
    assert error.value.details == ({"y": 1},)


def test_the_standards_codes() -> None:
    message = "not all extension_mandatory parameters are supported"
    body = json.dumps({"message": message, "details": [{"x_y": "unsupported"}, "odd"]}).encode()
    with pytest.raises(BadRequest, match=message) as bad:
        answer(400, body)
    assert (bad.value.status, bad.value.details) == (400, ({"x_y": "unsupported"},))
    with pytest.raises(Unauthorised, match=message):
        answer(401, body)
    with pytest.raises(Unavailable) as unavailable:
        answer(503, body, retry_after="7")
    assert unavailable.value.retry_after_s == 7.0


@pytest.mark.parametrize("header", ["", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1e3", "9" * 400, "٣" * 12])
def test_a_retry_after_that_is_not_a_number_of_seconds_is_left_out(header: str) -> None:
    with pytest.raises(Unavailable) as unavailable:
        answer(503, b"", retry_after=header)
    assert unavailable.value.retry_after_s is None


@pytest.mark.parametrize("code", [100, 201, 204, 301, 403, 404, 429, 500, 502])
def test_codes_that_the_standard_does_not_have(code: int) -> None:
    with pytest.raises(ProtocolError, match=f"code {code}: so it is") as error:
        answer(code, b'{"message": "so it is"}')
    assert error.value.status == code


@pytest.mark.parametrize("body", [b"", b"no", b"[" * 100_000, b'{"message": 7}', b'{"details": 7}', b"\xff"])
def test_a_refusal_needs_no_readable_body(body: bytes) -> None:
    with pytest.raises(BadRequest, match="bad request") as error:
        answer(400, body, max_bytes=100_000)
    assert error.value.details == ()


def test_a_kmes_message_is_cut_and_cannot_steer_a_terminal() -> None:
    with pytest.raises(BadRequest) as error:
        answer(400, json.dumps({"message": "\x1b[2J\r\n\x9b" + "x" * 9_000}).encode())
    assert error.value.message.isprintable()
    assert len(error.value.message) <= 500


def test_a_body_over_the_bound_is_refused_before_it_is_kept() -> None:
    body = json.dumps(CONTAINER).encode()
    assert len(answer(200, body, max_bytes=len(body)).keys) == 2
    reading = Answer(200, {}, read_two, len(body) - 1)
    reading.receive(body[:-1])
    with pytest.raises(ProtocolError, match=f"over {len(body) - 1} bytes"):
        reading.receive(body[-1:])


def test_an_announced_giant_is_refused_before_its_first_byte() -> None:
    with pytest.raises(ProtocolError, match="over 1000 bytes"):
        Answer(200, {"content-length": "1001"}, read_two, 1000)


def test_a_compressed_answer_is_refused() -> None:
    with pytest.raises(ProtocolError, match="compressed"):
        Answer(200, {"content-encoding": "gzip"}, read_two, 1000)
