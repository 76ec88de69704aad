"""Records are of no stream: whoever may have a copy of this node's must be out of doubt before they are delivered."""

import pytest

from keyhop.core.errors import KeyhopError, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")
B, B2 = SaeId("b"), SaeId("b2")


class Network(VirtualNetwork):
    """Bob has two neighbours and a key for two SAEs of its own."""

    def __init__(self) -> None:
        super().__init__({SaeId("a"): ALICE, B: BOB, B2: BOB, SaeId("c"): CAROL})
        self.settle()
        answers = self.get_key(BOB, GetKey(B, B2))
        self.settle()
        (keys,) = answers
        assert isinstance(keys, Keys)
        self.key_id = keys.runs[0].ids

    def doubt(self, neighbour: KmeId) -> None:
        self.kmes[neighbour].peers[BOB].neighbour.session.replaced()
        self.settle()

    def lose(self, neighbour: KmeId) -> None:
        self.kmes[neighbour].peers[BOB].neighbour.session.disconnect()
        self.kmes[BOB].peers[neighbour].neighbour.session.disconnect()

    def find_again(self, neighbour: KmeId) -> None:
        self.kmes[neighbour].connect(BOB)
        self.kmes[BOB].connect(neighbour)
        self.settle()

    def fetch(self) -> list[Keys | KeyhopError]:
        return self.get_key_with_ids(BOB, GetKeyWithIds(B2, B, self.key_id))


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.mark.parametrize(("doubting", "other"), [(ALICE, CAROL), (CAROL, ALICE)])
def test_one_that_a_neighbour_doubts_delivers_none_until_that_one_agrees(
    network: Network, doubting: KmeId, other: KmeId
) -> None:
    network.doubt(doubting)
    network.lose(doubting)
    network.lose(other)
    (refused,) = network.fetch()
    assert isinstance(refused, Unavailable)
    assert doubting in refused.message
    network.find_again(other)
    (refused,) = network.fetch()
    assert isinstance(refused, Unavailable)
    network.find_again(doubting)
    answers = network.fetch()
    network.settle()
    (answer,) = answers
    assert isinstance(answer, Keys)


def test_who_waits_for_a_window_when_the_doubt_comes_gets_none(network: Network) -> None:
    network.clock.advance(2.0)
    answers = network.fetch()
    assert not answers
    network.kmes[CAROL].peers[BOB].neighbour.session.replaced()
    while not network.kmes[BOB].peers[CAROL].neighbour.session.doubted:
        network._on_the_way.sort(key=lambda sent: sent[0] != CAROL)
        network.step()
    network.settle()
    (refused,) = answers
    assert isinstance(refused, Unavailable)


def test_a_record_waits_for_all_streams_of_its_master_s_kme() -> None:
    """It may have been delivered before within a window of the one that has not been compared yet."""
    network = VirtualNetwork({SaeId("a"): ALICE, B: BOB, B2: BOB})
    network.settle()
    alice, bob = network.kmes[ALICE].peers[BOB], network.kmes[BOB].peers[ALICE]
    block = KeyMaterial(network.random.randbytes(4096))
    assert bob.relayed.filling.their_block(0, block, network.clock.wall(), "relay")
    alice.relayed.filling.own_block(0, block, network.clock.wall(), "relay")
    network.settle()
    answers = network.get_key(ALICE, GetKey(SaeId("a"), B, additional_slaves=(B2,)))
    network.settle()
    (keys,) = answers
    assert isinstance(keys, Keys)
    bob.neighbour.windows.doubted()
    fetch = GetKeyWithIds(B, SaeId("a"), keys.runs[0].ids)
    (refused,) = network.get_key_with_ids(BOB, fetch)
    assert isinstance(refused, Unavailable)
    bob.neighbour.windows.synchronised()
    answers = network.get_key_with_ids(BOB, fetch)
    network.settle()
    (keys,) = answers
    assert isinstance(keys, Keys)
