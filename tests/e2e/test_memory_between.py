"""The memory of the nodes between, all of it, while keys are relayed in shares: nothing in it is a key or gives one.

That is what can be seen of real processes, with the strategy, the pads and whatever Python leaves behind. Why no memory
of one of them can give a key is shown elsewhere: a share is there equally often for every secret
(`tests/unit/network/relay/test_relay_sharing.py`).
"""

import os
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from leftovers import Needles
from node_memory import Pairings, memory_of, readable_nodes

from keyhop.apps.client import Client, mutual_tls
from keyhop.lab import Lab
from keyhop.lab.topology import Kme, Link, Topology

SQUARE = ("n1", "n2", "n3", "n4")
BETWEEN = ("n2", "n4")
KEYS, KEY_BYTES = 128, 32
STOCK_S = 60.0


def square() -> Topology:
    """Two paths from n1 to n3, over n2 and over n4, and a share on each."""
    return Topology(
        kmes=tuple(Kme(name, saes=1) for name in SQUARE),
        links=tuple(Link(f"{a}-{b}", (a, b), options={"rate_bps": 400_000}) for a, b in pairwise((*SQUARE, "n1"))),
        policy={"stock_bytes": 131_072},
        relay={"strategy": "secret-shared"},
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with readable_nodes(tmp_path_factory.mktemp("path")):
        lab = Lab.up(square(), tmp_path_factory.mktemp("square"))
        yield lab
        lab.down()


def wait_for_stock(lab: Lab) -> None:
    """Until what n1 has for n3 is relayed, and more than will be taken."""
    deadline = time.monotonic() + STOCK_S
    while True:
        streams = lab.management()["n1"].streams()
        if any(
            (each.owner, each.follower) == ("n1", "n3") and each.available >= 2 * KEYS * KEY_BYTES for each in streams
        ):
            return
        assert time.monotonic() < deadline, "nothing is relayed"
        time.sleep(0.1)


def memories(lab: Lab) -> dict[str, bytes]:
    """Of every node, one after the other."""
    return {kme.id: memory_of(kme.pid) for kme in lab.inventory().kmes if kme.pid is not None}


def exchanged(lab: Lab) -> list[bytes]:
    """Keys that n1's SAE got and n3's fetched."""
    inventory = lab.inventory()
    clients = []
    for name in ("n1-1", "n3-1"):
        entry = inventory.sae(name)
        tls = mutual_tls(ca=inventory.ca, certificate=entry.cert, key=entry.key)
        clients.append(Client(inventory.home(name).etsi014_url, tls))
    with clients[0] as master, clients[1] as slave:
        got = master.get_key("n3-1", number=KEYS, size_bits=8 * KEY_BYTES).keys
        fetched = slave.get_key_with_ids("n1-1", [key.key_id for key in got]).keys
    assert [key.secret for key in fetched] == [key.secret for key in got]
    return [key.secret.reveal() for key in got]


def test_no_key_is_in_the_memory_of_a_node_between_and_no_two_pieces_of_it_give_one(lab: Lab) -> None:
    wait_for_stock(lab)
    before = memories(lab)
    keys = exchanged(lab)
    after = memories(lab)
    needles = Needles(keys)
    in_stock = list(needles.found_in(before["n1"]))
    assert len(in_stock) >= KEYS, "the search does not find what is there"
    for name in BETWEEN:
        for memory in (before[name], after[name]):
            assert not list(needles.found_in(memory)), f"{name} holds keys of others"
        pairings = Pairings(after[name])
        assert not any(pairings.give(key) for key in keys[::32]), f"what {name} holds gives keys of others"


def test_two_pieces_that_give_a_key_are_found_in_the_memory_of_a_node(lab: Lab) -> None:
    """Else the search above would prove nothing."""
    memory = memories(lab)["n2"]
    key, share = os.urandom(KEY_BYTES), os.urandom(KEY_BYTES)
    other = bytes(a ^ b for a, b in zip(key, share, strict=True))
    assert not Pairings(memory).give(key)
    planted = memory[:1_000_001] + share + memory[1_000_001:2_000_003] + other + memory[2_000_003:]
    assert Pairings(planted).give(key)
