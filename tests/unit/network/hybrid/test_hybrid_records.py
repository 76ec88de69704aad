"""Records that are combined: against vectors that none of this code made, and what they depend on."""

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from keyhop.core.combiners import KDF, XOR, Combiner
from keyhop.core.ids import SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.hybrid.records import Masked, RecordSecret
from keyhop.network.hybrid.secret import Secret

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[3] / "vectors" / "hybrid_keys.json").read_text())[
    "records"
]
A = SaeId("a")
BATCH, IDS, PARTS = b"b" * 16, bytes(range(32)), bytes(range(64))
AGREED = Secret(1, KeyMaterial(bytes(32)))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['combiner']} {len(v['keys']) // 2}")
def test_keys_are_made_of_parts_and_a_masked_secret_as_the_formulas_say(vector: dict[str, Any]) -> None:
    agreed, batch, masked = (bytes.fromhex(vector[name]) for name in ("agreed", "batch", "masked"))
    ids, parts, keys = (bytes.fromhex(vector[name]) for name in ("ids", "parts", "keys"))
    shared = Secret(1, KeyMaterial(agreed))
    secret = RecordSecret.unmasked(Masked(vector["combiner"], shared.check, masked), shared, batch)
    assert secret.keys(SaeId(vector["master"]), ids, parts) == keys
    assert secret.masked(shared, batch) == Masked(vector["combiner"], shared.check, masked)


@pytest.mark.parametrize("combiner", get_args(Combiner))
def test_every_kme_gets_a_mask_of_its_own_and_the_same_secret(combiner: Combiner) -> None:
    secret, other = RecordSecret(combiner, KeyMaterial(b"s" * 32)), Secret(1, KeyMaterial(b"o" * 32))
    masks = [(AGREED, BATCH), (other, BATCH), (AGREED, b"c" * 16)]
    masked = [secret.masked(*each) for each in masks]
    assert len({each.masked for each in masked}) == 3
    made = {RecordSecret.unmasked(m, *each).keys(A, IDS, PARTS) for m, each in zip(masked, masks, strict=True)}
    assert made == {secret.keys(A, IDS, PARTS)}


@pytest.mark.parametrize("combiner", get_args(Combiner))
def test_whatever_is_not_the_same_makes_another_key(combiner: Combiner) -> None:
    secret = RecordSecret(combiner, KeyMaterial(b"s" * 32))
    masked = secret.masked(AGREED, BATCH)
    other = XOR if combiner == KDF else KDF
    variants = [
        (masked, AGREED, BATCH),
        (msgspec.structs.replace(masked, combiner=other), AGREED, BATCH),
        (msgspec.structs.replace(masked, masked=bytes(32)), AGREED, BATCH),
        (masked, Secret(1, KeyMaterial(b"o" * 32)), BATCH),
        (masked, AGREED, b"c" * 16),
    ]
    keys = [RecordSecret.unmasked(*each).keys(A, IDS, PARTS) for each in variants]
    keys += [secret.keys(SaeId("b"), IDS, PARTS), secret.keys(A, IDS[::-1], PARTS), secret.keys(A, IDS, PARTS[::-1])]
    assert len(set(keys)) == len(keys)


def test_a_key_that_was_chosen_has_parts_by_xor_and_none_by_kdf() -> None:
    chosen = bytes(range(100, 164))
    secret = RecordSecret(XOR, KeyMaterial(b"s" * 32))
    parts = secret.parts(A, IDS, chosen)
    assert parts != chosen
    assert secret.keys(A, IDS, parts) == chosen
    with pytest.raises(ValueError, match="chosen before"):
        RecordSecret(KDF, KeyMaterial(b"s" * 32)).parts(A, IDS, chosen)
