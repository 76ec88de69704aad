"""A master's own keys, and voids, while messages are lost and nodes stop at any of their commits: all slaves or none.

The KMEs of the slaves have no link with each other or with the master's: their copies are relayed.
"""

from collections.abc import Callable, Mapping

import pytest

from keyhop.core.errors import KeyhopError, StoreFailure
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import Slot
from keyhop.network.pair import PairOptions
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKeyWithIds, InsertedKeys, InsertKeys, Keys, VoidedKeys, VoidKeys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL, DAVE, EVA = map(KmeId, ("alice", "bob", "carol", "dave", "eva"))
A, A2, B, C, D, E = map(SaeId, ("a", "a2", "b", "c", "d", "e"))
HOME = {A: ALICE, A2: ALICE, B: BOB, C: CAROL, D: DAVE, E: EVA}
NETWORKS = {
    "line": ((ALICE, BOB), (BOB, CAROL), (CAROL, DAVE), (DAVE, EVA)),
    "ring": ((ALICE, BOB), (BOB, CAROL), (CAROL, DAVE), (DAVE, EVA), (ALICE, EVA)),
}
SLAVES = (C, D, A2)
KEYS = bytes(range(64))
IDS = bytes.fromhex("0190d3c8f1a27abc9def0123456789ab0190d3c8f1a27abc9def0123456789ac")


class Network(VirtualNetwork):
    """Five KMEs with key on all links. One of them may stop at one of its commits, after or instead of it."""

    def __init__(self, name: str, seed: int = 1) -> None:
        options = PairOptions(reserved_bytes_per_pair=0)
        policy = Policy(PairPolicy(wait_s=2.0))
        super().__init__(HOME, seed, policy=policy, links=NETWORKS[name], options=options)
        self.settle()
        self.produce(8)
        self.pass_time(2.0)
        self.commits = dict.fromkeys(self.kmes, 0)
        for kme in self.kmes:
            self._watch(kme, lambda: None)

    def stop_at(self, kme: KmeId, number: int, *, durable: bool) -> None:
        """That one stops at its commit of this number, from now on."""
        last = self.commits[kme] + number

        def stop() -> None:
            if self.commits[kme] == last and kme not in self.dead:
                self.dead.add(kme)
                raise StoreFailure("it has stopped")

        self._watch(kme, stop, durable=durable)

    def revive(self) -> None:
        """Who has stopped starts again on what its disk holds, and time passes."""
        for kme in sorted(self.dead):
            self.kmes[kme].crash()
        self.dead.clear()
        self.pass_time(4.0)

    def _watch(self, kme: KmeId, stop: Callable[[], None], *, durable: bool = True) -> None:
        store = self.kmes[kme].store
        commit = type(store).commit

        def watched(writes: Mapping[Slot, bytes | None]) -> None:
            self.commits[kme] += 1
            if durable:
                commit(store, writes)
            stop()
            if not durable:
                commit(store, writes)

        store.commit = watched  # type: ignore[method-assign]

    def fetch(self, slave: SaeId, ids: bytes) -> bytes | None:
        """What a slave gets."""
        answers = self.get_key_with_ids(HOME[slave], GetKeyWithIds(slave, A, ids))
        self.pass_time(1.0)
        (answer,) = answers
        return b"".join(run.material.reveal() for run in answer.runs) if isinstance(answer, Keys) else None

    def voided(self) -> list[bool]:
        """Which keys are void, asked for until everybody has said so."""
        for _ in range(10):
            answers = self.void_keys(ALICE, void())
            self.pass_time(1.0)
            if not answers:
                self.pass_time(5.0)
            (answer,) = answers
            if isinstance(answer, VoidedKeys):
                return list(answer.voided)
        raise AssertionError(answer)


def own() -> InsertKeys:
    return InsertKeys(A, SLAVES[0], KeyMaterial(KEYS), 32, IDS, SLAVES[1:])


def void() -> VoidKeys:
    return VoidKeys(A, SLAVES[0], IDS, SLAVES[1:])


def check_inserted(network: Network, answers: list[InsertedKeys | KeyhopError]) -> None:
    """All slaves can have what the master was told that they can; what it was not told so, none can once it is void."""
    network.loss = network.repeat = 0.0
    network.pass_time(2.0)
    if answers and isinstance(answers[0], InsertedKeys):
        for slave in SLAVES:
            assert network.fetch(slave, IDS) == KEYS, slave
        assert network.voided() == [False, False]
    else:
        network.voided()
    for slave in SLAVES:
        assert network.fetch(slave, IDS) is None
    balanced(network)


def check_voided(network: Network, answers: list[VoidedKeys | KeyhopError]) -> None:
    """What the master was told to be void nobody gets; nor what it asked for until it was told."""
    network.loss = network.repeat = 0.0
    network.pass_time(2.0)
    if not answers or isinstance(answers[0], KeyhopError):
        assert network.voided() == [True, True]
    else:
        assert answers == [VoidedKeys(IDS, (True, True))]
    for slave in SLAVES:
        assert network.fetch(slave, IDS) is None
    assert network.voided() == [True, True]
    balanced(network)


def balanced(network: Network) -> None:
    for kme in network.kmes.values():
        for pair in kme.kme.pairs():
            for stream in (pair.owned, pair.followed):
                assert stream.ledger.balances(stream.available_bytes)


def commits_of(name: str) -> dict[KmeId, int]:
    """How many commits of each node an insertion takes."""
    network = Network(name)
    before = dict(network.commits)
    network.insert_keys(ALICE, own())
    network.pass_time(1.0)
    return {kme: network.commits[kme] - before[kme] for kme in network.kmes}


@pytest.fixture(scope="module")
def counted() -> dict[str, dict[KmeId, int]]:
    return {name: commits_of(name) for name in NETWORKS}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("stopping", [ALICE, BOB, CAROL, DAVE])
def test_a_node_stops_at_each_commit_of_an_insertion(
    name: str, stopping: KmeId, counted: dict[str, dict[KmeId, int]]
) -> None:
    outcomes = set[object]()
    for number in range(1, counted[name][stopping] + 1):
        network = Network(name)
        network.stop_at(stopping, number, durable=number % 2 == 0)
        answers = network.insert_keys(ALICE, own())
        network.pass_time(3.0)
        network.revive()
        check_inserted(network, answers)
        outcomes.add(type(answers[0]) if answers else None)
    assert InsertedKeys in outcomes or len(outcomes) > 1


@pytest.mark.parametrize("stopping", [ALICE, CAROL, DAVE])
def test_a_node_stops_at_each_commit_of_a_void(stopping: KmeId) -> None:
    def inserted() -> Network:
        network = Network("line")
        answers = network.insert_keys(ALICE, own())
        network.pass_time(2.0)
        assert isinstance(answers[0], InsertedKeys)
        return network

    network = inserted()
    before = network.commits[stopping]
    network.void_keys(ALICE, void())
    network.pass_time(1.0)
    for number in range(1, network.commits[stopping] - before + 1):
        network = inserted()
        network.stop_at(stopping, number, durable=number % 2 == 0)
        answers = network.void_keys(ALICE, void())
        network.pass_time(6.0)
        network.revive()
        check_voided(network, answers)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", range(6))
def test_messages_are_lost_repeated_and_overtaken(name: str, seed: int) -> None:
    network = Network(name, seed)
    network.loss, network.repeat, network.reorder = (0.0, 0.05, 0.2)[seed % 3], 0.2, True
    answers = network.insert_keys(ALICE, own())
    network.pass_time(6.0)
    check_inserted(network, answers)


@pytest.mark.parametrize("seed", range(6))
def test_voids_are_lost_repeated_and_overtaken(seed: int) -> None:
    network = Network("ring", seed)
    inserted = network.insert_keys(ALICE, own())
    network.pass_time(3.0)
    assert isinstance(inserted[0], InsertedKeys)
    network.loss, network.repeat, network.reorder = (0.0, 0.1, 0.3)[seed % 3], 0.2, True
    answers = network.void_keys(ALICE, void())
    network.pass_time(6.0)
    check_voided(network, answers)
