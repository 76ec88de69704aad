"""Stores that are set back, one or both: what a witness finds out, and that nothing is used twice then.

Without a witness two stores that are set back to the same moment remember the same past, so that nobody can tell.
"""

from collections.abc import Mapping

import pytest

from keyhop.core.errors import BadRequest, KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.store.base import Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.core.witness.memory import MemoryWitness
from keyhop.network.pair import PairOptions
from keyhop.service.kme import Kme
from keyhop.service.kme_options import KmeOptions
from keyhop.service.policy import Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.audit import MemoryAudit
from keyhop.testing.kme import VirtualKme
from keyhop.testing.network import VirtualNetwork
from keyhop.testing.virtual import SeededEntropy

ALICE, BOB = KmeId("alice"), KmeId("bob")
HOME = {SaeId("a"): ALICE, SaeId("a2"): ALICE, SaeId("b"): BOB, SaeId("b2"): BOB}
PAIRS = (("a", "b"), ("b", "a"), ("a", "a2"), ("b", "b2"))

type Disks = dict[KmeId, Mapping[Slot, bytes]]


class Sites(VirtualNetwork):
    """Two KMEs in step, with keys in stock; what their SAEs got is held against what they had got before."""

    def __init__(self, witnesses: tuple[KmeId, ...] = (ALICE, BOB)) -> None:
        self.keepers = {kme: MemoryWitness() for kme in witnesses}
        super().__init__(HOME, seed=7, keepers=self.keepers)
        self.settle()
        self.fill()
        self.fetched: set[tuple[str, bytes]] = set()
        self.given: dict[bytes, bytes] = {}
        self.open: list[tuple[str, str, bytes]] = []

    def fill(self) -> None:
        self.produce(blocks=8)
        self.settle()
        self.pass_time(1.0)

    def copies(self) -> Disks:
        return {name: dict(kme.store.values) for name, kme in self.kmes.items()}

    def start_from(self, disks: Disks) -> None:
        """The machines are set up again with these disks; connections are new."""
        self._on_the_way.clear()
        for name, disk in disks.items():
            self.kmes[name].start(disk)
        for name, kme in self.kmes.items():
            if name not in disks:
                for peer, pair in ((each.id, each.neighbour) for each in kme.peers.values()):
                    pair.session.disconnect()
                    kme.connect(peer)
        self.settle()

    def get(self, master: str, slave: str) -> bytes:
        (answer,) = self.asked(HOME[SaeId(master)], GetKey(SaeId(master), SaeId(slave)))
        assert isinstance(answer, Keys), answer
        (run,) = answer.runs
        secret = run.material.reveal()
        assert run.ids not in self.given, "an ID comes twice"
        assert secret not in self.given.values(), "bytes are used twice"
        self.given[run.ids] = secret
        self.open.append((master, slave, run.ids))
        return run.ids

    def fetch(self, master: str, slave: str, key_id: bytes) -> bool:
        """Whether it is served; never twice, and never with other bytes."""
        answers = self.get_key_with_ids(HOME[SaeId(slave)], GetKeyWithIds(SaeId(slave), SaeId(master), key_id))
        self.settle()
        self.pass_time(3.0)
        (answer,) = answers
        if isinstance(answer, BadRequest):
            return False
        assert isinstance(answer, Keys), answer
        assert (slave, key_id) not in self.fetched, "a key is delivered twice"
        assert answer.runs[0].material.reveal() == self.given[key_id], "the ends hold different bytes"
        self.fetched.add((slave, key_id))
        return True

    def fetch_all(self) -> None:
        for master, slave, key_id in self.open:
            if (slave, key_id) not in self.fetched:
                assert self.fetch(master, slave, key_id)

    def ask_again_for_all(self) -> None:
        for master, slave, key_id in self.open:
            self.fetch(master, slave, key_id)

    def get_of_each_kind(self) -> None:
        for pair in PAIRS:
            self.get(*pair)

    def works(self) -> None:
        self.fill()
        for master, slave in PAIRS:
            assert self.fetch(master, slave, self.get(master, slave))

    def asked(self, kme: KmeId, request: GetKey) -> list[Keys | KeyhopError]:
        answers = self.get_key(kme, request)
        self.settle()
        self.pass_time(2.5)
        return answers


def test_both_restored_to_the_same_moment_use_nothing_again() -> None:
    sites = Sites()
    sites.get_of_each_kind()
    then = sites.copies()
    sites.fetch_all()
    sites.get_of_each_kind()
    sites.start_from(then)
    assert all(kme.kme.restored for kme in sites.kmes.values())
    sites.ask_again_for_all()
    sites.works()


def test_without_witnesses_that_is_not_found_out() -> None:
    """What the witness is for: if this ever passes without, it is not needed."""
    sites = Sites(witnesses=())
    sites.get_of_each_kind()
    then = sites.copies()
    sites.fetch_all()
    sites.start_from(then)
    with pytest.raises(AssertionError, match="a key is delivered twice"):
        sites.ask_again_for_all()


@pytest.mark.parametrize("earlier", [ALICE, BOB])
def test_both_restored_to_different_moments(earlier: KmeId) -> None:
    sites = Sites()
    sites.get_of_each_kind()
    first = sites.copies()
    sites.fetch_all()
    sites.get_of_each_kind()
    second = sites.copies()
    sites.fetch_all()
    sites.get_of_each_kind()
    later = BOB if earlier == ALICE else ALICE
    sites.start_from({earlier: first[earlier], later: second[later]})
    sites.ask_again_for_all()
    sites.works()


@pytest.mark.parametrize("first", [ALICE, BOB])
def test_both_restored_one_after_the_other(first: KmeId) -> None:
    sites = Sites()
    sites.get_of_each_kind()
    then = sites.copies()
    sites.fetch_all()
    sites.get_of_each_kind()
    second = BOB if first == ALICE else ALICE
    sites.start_from({first: then[first]})
    sites.works()
    sites.start_from({second: then[second]})
    sites.ask_again_for_all()
    sites.works()


@pytest.mark.parametrize("restored", [ALICE, BOB])
def test_what_was_delivered_while_the_owner_was_away_does_not_come_again(restored: KmeId) -> None:
    """The one case of one side that marks do not find out."""
    sites = Sites()
    sites.get_of_each_kind()
    then = sites.copies()
    for kme in sites.kmes.values():
        for pair in kme.kme.pairs():
            pair.session.disconnect()
    sites._on_the_way.clear()
    sites.fetch_all()
    sites.start_from({restored: then[restored]})
    sites.ask_again_for_all()
    sites.works()


@pytest.mark.parametrize("restored", [ALICE, BOB])
def test_one_side_restored_costs_its_own_stock_only(restored: KmeId) -> None:
    sites = Sites()
    then = sites.copies()
    sites.pass_time(2.0)
    sites.get_of_each_kind()
    other = BOB if restored == ALICE else ALICE
    sites.start_from({restored: then[restored]})
    for master, slave, key_id in sites.open:
        assert sites.fetch(master, slave, key_id) == (HOME[SaeId(slave)] == other)
    sites.works()


@pytest.mark.parametrize("witnessed", [ALICE, BOB])
def test_with_one_witness_that_side_uses_nothing_again(witnessed: KmeId) -> None:
    sites = Sites(witnesses=(witnessed,))
    sites.get_of_each_kind()
    then = sites.copies()
    sites.fetch_all()
    sites.start_from(then)
    for master, slave, key_id in sites.open:
        if HOME[SaeId(slave)] == witnessed:
            assert not sites.fetch(master, slave, key_id)
    streams = {name: kme.peers[other].neighbour.owned for name, other, kme in _ends(sites)}
    assert streams[ALICE].epoch == streams[BOB].epoch == 2  # what masters get is new in both directions
    sites.fill()
    for master, slave in PAIRS:
        sites.get(master, slave)


def test_a_clone_of_a_disk_alone_has_nothing_to_give() -> None:
    """It has no witness of its own, so that it takes itself for a restored store."""
    sites = Sites()
    sites.get_of_each_kind()
    clone = Sites()
    clone.kmes[BOB]._keeper = MemoryWitness()
    clone.kmes[BOB].start(sites.copies()[BOB])
    assert clone.kmes[BOB].kme.restored == "its witness is missing"
    assert not len(clone.kmes[BOB].records)
    pair = clone.kmes[BOB].peers[ALICE].neighbour
    assert (pair.followed.available_bytes, pair.owned.available_bytes, pair.owned.leased_units) == (0, 0, 0)
    assert all(end.ledger.balances(end.available_bytes) for end in (pair.followed, pair.owned))


@pytest.mark.parametrize("restored", [True, False])
def test_what_others_keep_in_an_old_copy_goes_in_the_same_commit(restored: bool) -> None:
    sites = Sites()
    then = sites.copies()[ALICE]
    sites.get_of_each_kind()
    sites.pass_time(2.0)
    store = MemoryStore(then if restored else sites.copies()[ALICE])
    kept = Slot("adapter", "link")
    keeper = MemoryWitness(sites.keepers[ALICE].statement)
    kme = Kme(
        ALICE,
        [BOB],
        [BOB],
        HOME.get,
        store,
        MemoryAudit(sites.clock),
        sites.clock,
        SeededEntropy(1),
        lambda: None,
        KmeOptions(Policy(), PairOptions()),
        keeper,
    )
    kme.open(lambda: kme.journal.save(kept, lambda: b"nothing left"))
    assert kme.journal.commits == 1
    assert store.read(kept) == (b"nothing left" if restored else None)


def test_crashes_are_no_restored_backups() -> None:
    sites = Sites()
    for _ in range(10):
        sites.get_of_each_kind()
        for kme in sites.kmes.values():
            kme.crash()
            assert kme.kme.restored is None
        sites.settle()
        sites.pass_time(0.5)
        sites.fill()
        sites.fetch_all()
    assert {kme.peers[other].neighbour.owned.epoch for _, other, kme in _ends(sites)} == {1}


def _ends(sites: Sites) -> list[tuple[KmeId, KmeId, VirtualKme]]:
    return [(ALICE, BOB, sites.kmes[ALICE]), (BOB, ALICE, sites.kmes[BOB])]
