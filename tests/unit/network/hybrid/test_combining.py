"""Hybrid keys: against vectors that none of this code made, and what they depend on."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from keyhop.core.combiners import Combiner
from keyhop.core.ids import SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.hybrid.combining import COMBINERS, combined, use_of
from keyhop.network.hybrid.secret import Secret

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[3] / "vectors" / "hybrid_keys.json").read_text())[
    "vectors"
]
A, B = SaeId("a"), SaeId("b")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['combiner']} {v['size']}")
def test_keys_are_those_of_the_formulas(vector: dict[str, Any]) -> None:
    secret, ids, qkd, keys = (bytes.fromhex(vector[name]) for name in ("secret", "ids", "qkd", "keys"))
    master, slave = SaeId(vector["master"]), SaeId(vector["slave"])
    shared = KeyMaterial(secret)
    assert combined(vector["combiner"], shared, master, slave, ids, vector["size"], qkd) == keys


@pytest.mark.parametrize("combiner", get_args(Combiner))
def test_every_part_of_a_key_matters(combiner: Combiner) -> None:
    secret, other = KeyMaterial(bytes(32)), KeyMaterial(bytes([1] * 32))
    variants = [
        combined(combiner, secret, A, B, bytes(16), 32, bytes(32)),
        combined(combiner, other, A, B, bytes(16), 32, bytes(32)),
        combined(combiner, secret, B, A, bytes(16), 32, bytes(32)),
        combined(combiner, secret, A, B, bytes([1] * 16), 32, bytes(32)),
        combined(combiner, secret, A, B, bytes(16), 32, bytes([1] * 32)),
    ]
    assert len(set(variants)) == len(variants)
    assert all(len(key) == 32 for key in variants)


def test_what_an_id_is_bound_to_tells_combiners_and_secrets_apart() -> None:
    secrets = [Secret(1, KeyMaterial(bytes([n] * 32))) for n in range(3)]
    uses = {use_of(combiner, secret) for combiner in COMBINERS.values() for secret in secrets}
    assert len(uses) == 6
    assert all(secret.shared.reveal() not in use for use in uses for secret in secrets)
