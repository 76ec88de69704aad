"""A node that was copied and runs twice: both are told, and neither delivers what the other one may have delivered."""

from functools import partial

import msgspec
import pytest

from keyhop.core.errors import BadRequest, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network import wire
from keyhop.network.pair import PairOptions
from keyhop.network.twins import ALARM_S, REMEMBERED, Twins
from keyhop.service.policy import Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.kme import VirtualKme
from keyhop.testing.network import VirtualNetwork
from keyhop.testing.virtual import SeededEntropy, VirtualClock

ALICE, BOB = KmeId("alice"), KmeId("bob")
HOME = {SaeId("a"): ALICE, SaeId("a2"): ALICE, SaeId("b"): BOB}


def heard(*processes: int) -> Twins:
    twins = Twins(VirtualClock())
    for process in processes:
        twins.heard(process)
    return twins


@pytest.mark.parametrize("processes", [(), (1,), (1, 1, 1), (1, 2, 3, 4), (1, 1, 2, 2, 3)])
def test_one_process_after_the_other_is_no_sign(processes: tuple[int, ...]) -> None:
    twins = heard(*processes)
    assert (twins.signs, twins.alarm) == (0, False)


@pytest.mark.parametrize(
    ("processes", "signs"), [((1, 2, 1), 1), ((1, 2, 1, 2), 2), ((1, 2, 3, 1), 1), ((1, 2, 2, 1), 1)]
)
def test_one_that_comes_back_after_another_is(processes: tuple[int, ...], signs: int) -> None:
    assert heard(*processes).signs == signs


def test_what_is_remembered_is_bounded() -> None:
    twins = heard(*range(1000))
    assert len(twins._earlier) == REMEMBERED


def test_the_alarm_ends_when_there_is_no_sign_any_more() -> None:
    clock = VirtualClock()
    twins = Twins(clock)
    for process in (1, 2, 1):
        twins.heard(process)
    assert twins.alarm
    clock.advance(ALARM_S)
    assert not twins.alarm


class TwoAlices(VirtualNetwork):
    """bob, alice, and a copy of alice that is connected in her place whenever it dials."""

    def __init__(self) -> None:
        super().__init__(HOME, seed=3)
        self.settle()
        self.produce(blocks=8)
        self.settle()
        self.pass_time(1.5)
        self.original = self.kmes[ALICE]

    def copy(self) -> VirtualKme:
        copy = VirtualKme(
            ALICE,
            (BOB,),
            HOME,
            self.clock,
            SeededEntropy(99),
            partial(self._send, ALICE),
            Policy(),
            PairOptions(),
        )
        copy.start(self.original.store.values)
        for pair in copy.kme.pairs():
            pair.session.disconnect()
        copy.journal.flush()
        return copy

    def dial(self, alice: VirtualKme) -> None:
        """bob lets it in, in place of the other one, which hears so."""
        bob = self.kmes[BOB].peers[ALICE].neighbour
        self._on_the_way.clear()
        bob.session.replaced()
        self.settle()
        self.kmes[ALICE].peers[BOB].neighbour.session.disconnect()
        self.kmes[ALICE] = alice
        bob.session.disconnect()
        self.kmes[BOB].connect(ALICE)
        alice.connect(BOB)
        self.settle()
        self.pass_time(0.5)

    def get(self, master: str, slave: str) -> tuple[str, str, bytes]:
        answers = self.get_key(HOME[SaeId(master)], GetKey(SaeId(master), SaeId(slave)))
        self.settle()
        (answer,) = answers
        assert isinstance(answer, Keys), answer
        return master, slave, answer.runs[0].ids

    def served(self, alice: VirtualKme, key: tuple[str, str, bytes]) -> bool | None:
        """Whether this alice delivers the key; None when she does not say."""
        master, slave, key_id = key
        answers: list[object] = []
        alice.delivery.get_key_with_ids(GetKeyWithIds(SaeId(slave), SaeId(master), key_id), answers.append)
        alice.journal.flush()
        self.settle()
        (answer,) = answers
        assert isinstance(answer, Keys | BadRequest | Unavailable), answer
        return None if isinstance(answer, Unavailable) else isinstance(answer, Keys)


@pytest.mark.parametrize(("master", "slave"), [("b", "a"), ("a", "a2")])
def test_an_exact_copy_and_its_original_deliver_a_key_once(master: str, slave: str) -> None:
    network = TwoAlices()
    original, keys = network.original, [network.get(master, slave) for _ in range(2)]
    copy = network.copy()
    network.dial(copy)
    assert network.served(original, keys[0]) is None
    assert network.served(copy, keys[0]) is True
    network.dial(original)
    assert network.served(copy, keys[1]) is None
    assert network.served(original, keys[0]) is False
    network.dial(copy)
    assert network.served(copy, keys[0]) is False
    assert not (network.served(original, keys[1]) and network.served(copy, keys[1]))


def test_everybody_is_told() -> None:
    network = TwoAlices()
    original, copy, bob = network.original, network.copy(), network.kmes[BOB].peers[ALICE].neighbour
    network.dial(copy)
    assert (bob.session.theirs.signs, original.peers[BOB].neighbour.session.ours.signs) == (0, 1)
    network.dial(original)
    assert (bob.session.theirs.alarm, copy.peers[BOB].neighbour.session.ours.alarm) == (True, True)


def test_a_node_that_was_restarted_is_no_copy() -> None:
    network = TwoAlices()
    bob = network.kmes[BOB].peers[ALICE].neighbour
    for _ in range(5):
        network.kmes[ALICE].crash()
        network.settle()
    assert bob.synchronised
    assert bob.session.theirs.signs == 0


def test_nobody_but_the_peer_of_this_session_says_so() -> None:
    network = TwoAlices()
    pair = network.original.peers[BOB].neighbour
    message = wire.Envelope("direct", 5, 12345, wire.Replaced())
    pair.received(message)
    assert (pair.session.ours.signs, pair.windows.ready) == (0, True)
    pair.received(msgspec.structs.replace(message, receiver=pair.session.number))
    assert (pair.session.ours.signs, pair.windows.ready) == (1, False)
