"""One greedy SAE takes all that it can get; an honest one gets a key each time it asks. Real nodes, a slow link."""

import threading
from collections.abc import Iterator

import pytest
from callers import Caller, ask, reload, until

from keyhop.lab import Inventory, Lab, load_topology
from keyhop.lab.topology import Link, Topology

KEY_BYTES = 32
FLOOR_KEYS = 32
GREEDY_CONNECTIONS = 24
ENC, STATUS = "/api/v1/keys/bobsae/enc_keys", "/api/v1/keys/bobsae/status"
RESERVED = "no key material is left for KME bob but what is reserved for other SAEs"
LIMITED = "the limit of SAE alicesae is reached: 0.1 requests per second, 1 at once"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A link that brings each stream 16 keys a second; the greedy keep more requests waiting than it serves in time."""
    shipped = load_topology("two-sites-paced")
    link = Link(id="alice-bob", ends=("alice", "bob"), options={"rate_bps": 8192, "block_bytes": 256})
    policy = {
        "wait_s": 1.0,
        "reserved_bytes_per_pair": FLOOR_KEYS * KEY_BYTES,
        "allow": [{"master": "alicesae", "slave": "bobsae"}, {"master": "alicesae2", "slave": "bobsae"}],
    }
    topology = Topology(kmes=shipped.kmes, saes=shipped.saes, links=(link,), policy=policy)
    lab = Lab.up(topology, tmp_path_factory.mktemp("fair"))
    yield lab
    lab.down()


class Greedy:
    """alicesae, on many connections at once, until told to stop; `refusals` are the reasons that it was told."""

    def __init__(self, inventory: Inventory) -> None:
        self._caller = Caller.of(inventory, "alicesae")
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._hammer) for _ in range(GREEDY_CONNECTIONS)]
        self.refusals: set[str] = set()
        self.retry_after: set[int] = set()

    def __enter__(self) -> "Greedy":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _hammer(self) -> None:
        connection = self._caller.connect()
        while not self._stop.is_set():
            answer = ask(connection, "GET", ENC)
            if answer.status == 503:
                self.refusals.add(answer.message)
                self.retry_after.add(int(answer.headers["retry-after"]))
        connection.close()


def test_each_request_of_the_honest_is_answered_with_a_key_while_another_takes_all_it_can(lab: Lab) -> None:
    inventory = lab.inventory()
    honest = Caller.of(inventory, "alicesae2")
    until(lambda: bool(honest.ask("GET", STATUS).body["stored_key_count"] >= FLOOR_KEYS))
    with Greedy(inventory) as greedy:
        until(lambda: RESERVED in greedy.refusals)
        connection = honest.connect()
        for _ in range(FLOOR_KEYS):
            answer = ask(connection, "GET", ENC)
            assert answer.status == 200, answer.message
        connection.close()
    (key,) = answer.body["keys"]
    assert Caller.of(inventory, "bobsae").dec_keys("alicesae2", key["key_ID"]).body["keys"] == [key]


def test_sighup_brings_a_limit_which_says_when_to_come_again(lab: Lab) -> None:
    inventory = lab.inventory()
    limit = {"sae": "alicesae", "requests_per_s": 0.1, "requests_burst": 1}
    with Greedy(inventory) as greedy:
        reload(inventory, "alice", lambda document: document["policy"].update(limits=[limit]))
        until(lambda: LIMITED in greedy.refusals)
    assert max(greedy.retry_after) in range(9, 11)
    assert Caller.of(inventory, "alicesae2").ask("GET", STATUS).status == 200
