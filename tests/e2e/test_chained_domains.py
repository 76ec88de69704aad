"""Three domains of real nodes in a row: keys go through the middle one, from one gateway node of it to another."""

import json
from collections.abc import Iterator
from functools import partial

import pytest
from callers import JSON, Caller, management, until

from keyhop.lab import Inventory, Lab, load_topology

TOPOLOGY = """
kmes = [
    { id = "first", network = "one" },
    { id = "near", network = "two" },
    { id = "far", network = "two" },
    { id = "last", network = "three" },
]
saes = [
    { id = "firstsae", kme = "first" },
    { id = "nearsae", kme = "near" },
    { id = "farsae", kme = "far" },
    { id = "lastsae", kme = "last" },
]
gateways = [{ ends = ["first", "near"] }, { ends = ["far", "last"] }]

[[links]]
id = "near-far"
ends = ["near", "far"]
rate_bps = 2_000_000
"""


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inventory]:
    path = tmp_path_factory.mktemp("chained") / "chained.toml"
    path.write_text(TOPOLOGY)
    lab = Lab.up(load_topology(path), path.parent / "lab")
    try:
        for kme in ("first", "near", "far", "last"):
            page = partial(management, lab.inventory(), kme, "/v1/gateways")
            until(lambda page=page: all(gateway["reachable"] for gateway in page()))  # type: ignore[misc]
        yield lab.inventory()
    finally:
        lab.down()


@pytest.mark.parametrize(
    ("master", "slave"), [("firstsae", "lastsae"), ("lastsae", "firstsae"), ("firstsae", "farsae")]
)
def test_keys_go_through_the_middle(inventory: Inventory, master: str, slave: str) -> None:
    keys = Caller.of(inventory, master).enc_keys(slave, number=2)
    caller = Caller.of(inventory, slave)
    fetched = caller.dec_keys(master, *(key["key_ID"] for key in keys))
    assert fetched.body["keys"] == keys
    assert caller.dec_keys(master, keys[0]["key_ID"]).status == 400


def test_a_master_brings_keys_and_voids_them_two_domains_away(inventory: Inventory) -> None:
    master, slave = Caller.of(inventory, "firstsae"), Caller.of(inventory, "lastsae")
    ids = [f"0190d3c8-f1a2-7abc-9def-0123456789a{digit}" for digit in "ab"]
    keys = [{"key_ID": key_id, "key": "A" * 43 + "="} for key_id in ids]
    body = json.dumps({"keys": keys}).encode()
    inserted = master.ask("POST", "/api/v1/keys/lastsae/keyhop_insert", body, JSON)
    assert inserted.status == 200, inserted.body
    assert slave.dec_keys("firstsae", ids[0]).body["keys"] == keys[:1]
    question = json.dumps({"key_IDs": [{"key_ID": key_id} for key_id in ids]}).encode()
    for _ in range(2):
        voided = master.ask("POST", "/api/v1/keys/lastsae/keyhop_void", question, JSON)
        assert voided.status == 200, voided.body
        assert [key["key_ID_extension"]["keyhop_voided"] for key in voided.body["key_IDs"]] == [False, True]
    assert slave.dec_keys("firstsae", ids[1]).status == 400
