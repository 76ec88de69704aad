"""Key IDs as the reference page says, computed there without our code (tests/vectors/make_key_ids.py)."""

import json
from pathlib import Path
from typing import Any

import pytest

from keyhop.core.ids import SaeId, key_id_from_text, key_id_text
from keyhop.core.key_id import EpochKeyIds, Located

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "key_ids.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["key_ID"])
def test_key_ids_are_those_of_the_reference(vector: dict[str, Any]) -> None:
    epoch = EpochKeyIds(bytes.fromhex(vector["id_key"]))
    pair = epoch.pair(SaeId(vector["master"]), SaeId(vector["slave"]))
    place = Located(vector["position"], vector["size_bytes"])
    key_id = key_id_from_text(vector["key_ID"])
    assert key_id_text(pair.seal(place.position, place.size_bytes)) == vector["key_ID"]
    assert epoch.locate(key_id) == place
    assert pair.recognises(key_id, place)
