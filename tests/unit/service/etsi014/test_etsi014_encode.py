"""Fast encoding says exactly what the plain one would."""

import base64
import json
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.errors import BadRequest, KeyhopError
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.etsi014.encode import encode_error, encode_keys
from keyhop.service.requests import KeyRun, Keys, Provenance


def make_run(count: int, size: int, seed: int) -> KeyRun:
    source = random.Random(seed)
    return KeyRun(source.randbytes(16 * count), size, KeyMaterial(source.randbytes(size * count)))


def plainly(keys: Keys) -> bytes:
    entries = [
        {
            "key_ID": str(uuid.UUID(bytes=run.ids[16 * i : 16 * i + 16])),
            "key": base64.b64encode(run.material.reveal()[run.size_bytes * i : run.size_bytes * (i + 1)]).decode(),
        }
        for run in keys.runs
        for i in range(run.count)
    ]
    return json.dumps({"keys": entries}, separators=(",", ":")).encode()


runs = st.builds(make_run, st.integers(0, 200), st.integers(1, 140), st.integers(0, 2**32))


@given(st.lists(runs, max_size=3))
def test_equals_the_plain_encoding(made: list[KeyRun]) -> None:
    keys = Keys(tuple(made))
    assert encode_keys(keys) == plainly(keys)


@pytest.mark.parametrize("size", [8, 31, 32, 33, 64, 128, 129, 1024])
@pytest.mark.parametrize("count", [1, 23, 24, 128, 300])
def test_every_way_of_encoding(size: int, count: int) -> None:
    keys = Keys((make_run(count, size, 1),))
    assert encode_keys(keys) == plainly(keys)


def test_provenance_is_a_container_extension() -> None:
    keys = Keys((make_run(1, 32, 1),), Provenance('rate"', ((KmeId("a"), KmeId("ä")),), 1.23456))
    answer = json.loads(encode_keys(keys))
    assert answer["key_container_extension"] == {
        "keyhop_provenance": {"source": 'rate"', "paths": [["a", "ä"]], "age_s": 1.235}
    }
    assert len(answer["keys"]) == 1


def test_errors_can_say_anything() -> None:
    assert json.loads(encode_error(KeyhopError("no"))) == {"message": "no"}
    error = BadRequest('"\ud800', details=({"extension_mandatory": "\udfff"},))
    assert json.loads(encode_error(error)) == {"message": '"\ud800', "details": [{"extension_mandatory": "\udfff"}]}
