"""A connection takes over from another one: no session ends, nothing is lost or changes its place, nobody else can."""

import random
from collections import deque
from collections.abc import Sequence
from functools import partial

import pytest

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId, LinkId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.memory import MemoryStore
from keyhop.network.lines import FRAME_BYTES, MAX_HELD_BYTES, Lines
from keyhop.network.pair import Pair
from keyhop.network.psk.generations import PskGenerations
from keyhop.network.wire.words import Moves, Succeeds, spoken
from keyhop.testing.network import VirtualNetwork
from keyhop.testing.virtual import SeededEntropy

ALICE, BOB = KmeId("alice"), KmeId("bob")
LINK = LinkId("alice-bob")
TOKEN, OTHER = b"t" * 16, b"o" * 16


class End:
    """One end of a connection: what it is sent arrives in the order in which it was sent, if it arrives."""

    def __init__(self, lines: Lines["End"], generation: int | None, *, dialled: bool) -> None:
        self.lines = lines
        self.generation = generation
        self.dialled = dialled
        self.inbox: deque[bytes] = deque()
        self.closed = self.aborted = False
        self.far: End

    def send(self, message: bytes) -> None:
        if not (self.closed or self.aborted):
            self.far.inbox.append(message)

    def hear(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self.lines.received(self, frame)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def deliver(self) -> None:
        self.lines.received(self, self.inbox.popleft())


class Site:
    """alice, who dials, and bob, with a link whose adapters count what they say to each other."""

    def __init__(self) -> None:
        self.network = VirtualNetwork({SaeId("a"): ALICE, SaeId("b"): BOB})
        self.lines: dict[KmeId, Lines[End]] = {}
        self.ends: list[End] = []
        self.got: dict[KmeId, list[int]] = {ALICE: [], BOB: []}
        self.said = 0
        for me, other in ((ALICE, BOB), (BOB, ALICE)):
            peer, store = self.network.kmes[me].peers[other], MemoryStore()
            peer.disconnect()
            peer.psk = PskGenerations(me, other, KeyMaterial(bytes(32)), store, Journal(store, lambda: None))
            self.lines[me] = Lines(peer, SeededEntropy(len(self.lines)))
            self.pair(me).link_channel(LINK).listen(partial(self.count, me))
        self.connect(0)
        self.settle()

    def count(self, me: KmeId, data: bytes) -> None:
        self.got[me].append(int.from_bytes(data))

    def pair(self, me: KmeId) -> Pair:
        return self.lines[me].peer.pairs[0]

    def connect(self, generation: int | None) -> tuple[End, End]:
        """alice has dialled; bob sees it first."""
        dialled = End(self.lines[ALICE], generation, dialled=True)
        taken = End(self.lines[BOB], generation, dialled=False)
        dialled.far, taken.far = taken, dialled
        self.ends += [taken, dialled]
        for end in (taken, dialled):
            end.lines.opened(end)
            self.network.flush()
        return dialled, taken

    def say(self, me: KmeId) -> None:
        """The adapters say the next number to each other."""
        self.said += 1
        self.pair(me).link_channel(LINK).send(self.said.to_bytes(4))

    def step(self, draw: random.Random) -> bool:
        """Something arrives at one of the ends, whichever."""
        able = [end for end in self.ends if end.inbox and not end.aborted]
        if able:
            draw.choice(able).deliver()
            self.network.flush()
        return bool(able)

    def settle(self) -> None:
        while self.step(random.Random(0)):
            pass

    def sessions(self) -> list[tuple[int, bool]]:
        return [(pair.session.number, pair.synchronised) for me in self.lines for pair in self.lines[me].peer.pairs]


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.mark.parametrize("seed", range(40))
def test_what_is_said_while_connections_change_arrives_once_and_in_order(site: Site, seed: int) -> None:
    draw = random.Random(seed)
    before = site.sessions()
    for generation in (1, 2, 3):
        old = site.lines[ALICE].heard
        for _ in range(draw.randrange(5)):
            site.say(ALICE)
            site.say(BOB)
        site.connect(generation)
        while site.step(draw):
            if site.said < 40 * generation and draw.random() < 0.8:
                site.say(draw.choice((ALICE, BOB)))
        assert old is not None
        assert old.closed
    for lines in site.lines.values():
        assert [end.generation for end in lines.open] == [3]
    assert sorted(site.got[ALICE] + site.got[BOB]) == list(range(1, site.said + 1))
    assert site.got[ALICE] == sorted(site.got[ALICE])
    assert site.got[BOB] == sorted(site.got[BOB])
    assert min(len(got) for got in site.got.values()) > 2
    assert site.sessions() == before


def test_a_connection_of_the_same_generation_begins_new_sessions(site: Site) -> None:
    before = site.sessions()
    _, taken = site.connect(0)
    site.settle()
    assert site.sessions() != before
    assert all(synchronised for _, synchronised in site.sessions())
    assert site.lines[BOB].heard is taken


def test_a_copy_of_the_node_does_not_take_over_with_a_newer_generation(site: Site) -> None:
    """It has everything that was on the disk, and no part in the old connection."""
    before = site.sessions()
    copy = End(site.lines[BOB], 1, dialled=False)
    copy.far = End(site.lines[ALICE], 1, dialled=True)
    site.lines[BOB].opened(copy)
    site.lines[BOB].received(copy, spoken(Succeeds(TOKEN)))
    for number in range(5):
        site.lines[BOB].received(copy, bytes([number]))
    site.say(ALICE)
    site.settle()
    assert site.got[BOB] == [1]
    assert site.lines[BOB].heard is not copy
    assert site.sessions() == before
    site.connect(1)  # the real one: nothing of the copy is in its way
    site.settle()
    assert copy.aborted
    assert site.sessions() == before


def test_a_word_with_another_token_does_not_let_a_connection_take_over(site: Site) -> None:
    strange = End(site.lines[BOB], 1, dialled=False)
    strange.far = End(site.lines[ALICE], 1, dialled=True)
    site.lines[BOB].opened(strange)
    site.lines[BOB].received(strange, spoken(Succeeds(TOKEN)))
    now = site.lines[BOB].heard
    assert now is not None
    site.lines[BOB].received(now, spoken(Moves(OTHER)))
    assert strange.aborted
    assert site.lines[BOB].heard is now


def test_an_answer_with_another_token_ends_the_session(site: Site) -> None:
    new, _ = site.connect(1)
    old = next(end for end in site.ends if end.lines is site.lines[ALICE] and end is not new)
    with pytest.raises(PeerError, match="another token"):
        site.lines[ALICE].received(old, spoken(Moves(OTHER)))
    assert site.lines[ALICE].lost(old)
    assert new.aborted


def test_nothing_more_is_heard_on_a_connection_after_its_last_word(site: Site) -> None:
    now = site.lines[BOB].heard
    assert now is not None
    site.lines[BOB].received(now, spoken(Moves(TOKEN)))
    with pytest.raises(PeerError, match="after the last one"):
        site.lines[BOB].received(now, spoken(Moves(TOKEN)))


@pytest.mark.parametrize(
    ("word", "why"),
    [
        (spoken(Succeeds(TOKEN)), "succeeds itself"),
        (b"\xc1", "malformed"),
        (spoken(Moves(TOKEN)) + b"\0", "malformed"),
        (spoken(Moves(b"short")), "malformed"),
        (b"\xc1\x92\xa5Hello\x01", "malformed"),
    ],
)
def test_a_word_out_of_place_breaks_the_protocol(site: Site, word: bytes, why: str) -> None:
    now = site.lines[BOB].heard
    assert now is not None
    with pytest.raises(PeerError, match=why):
        site.lines[BOB].received(now, word)


def test_a_connection_that_was_not_begun_does_not_end(site: Site) -> None:
    new = End(site.lines[BOB], 1, dialled=False)
    new.far = End(site.lines[ALICE], 1, dialled=True)
    site.lines[BOB].opened(new)
    with pytest.raises(PeerError, match="before it has begun"):
        site.lines[BOB].received(new, spoken(Moves(TOKEN)))


def test_a_connection_with_certificates_does_not_move(site: Site) -> None:
    site.lines[BOB].peer.psk = None
    now = site.lines[BOB].heard
    assert now is not None
    with pytest.raises(PeerError, match="certificates"):
        site.lines[BOB].received(now, spoken(Moves(TOKEN)))


def test_what_is_held_back_is_bounded(site: Site) -> None:
    new = End(site.lines[BOB], 1, dialled=False)
    new.far = End(site.lines[ALICE], 1, dialled=True)
    site.lines[BOB].opened(new)
    site.lines[BOB].received(new, spoken(Succeeds(TOKEN)))
    most = bytes(MAX_HELD_BYTES // 16 - FRAME_BYTES)
    for _ in range(16):
        site.lines[BOB].received(new, most)
    with pytest.raises(PeerError, match="too much"):
        site.lines[BOB].received(new, b"x")


def test_small_frames_that_are_held_back_count_with_what_each_takes_by_itself(site: Site) -> None:
    new = End(site.lines[BOB], 1, dialled=False)
    new.far = End(site.lines[ALICE], 1, dialled=True)
    site.lines[BOB].opened(new)
    site.lines[BOB].received(new, spoken(Succeeds(TOKEN)))
    with pytest.raises(PeerError, match="too much"):
        new.hear([b"xx"] * (MAX_HELD_BYTES // FRAME_BYTES))


def test_a_node_that_begins_anew_with_the_newer_generation_is_met_anew(site: Site) -> None:
    """It has crashed, and its old connection is not known to be dead yet."""
    old, before = site.lines[BOB].heard, site.sessions()
    kme = site.network.kmes[ALICE]
    site.lines[ALICE] = Lines(kme.peers[BOB], SeededEntropy(9))
    kme.peers[BOB].disconnect()
    _, taken = site.connect(1)
    site.settle()
    assert old is not None
    assert old.closed
    assert site.lines[BOB].heard is taken
    assert site.sessions() != before
    assert all(pair.synchronised for me in site.lines for pair in site.lines[me].peer.pairs)


def test_when_the_old_connection_breaks_before_its_last_word_the_session_is_over(site: Site) -> None:
    new, taken = site.connect(1)
    for me, end in ((ALICE, new), (BOB, taken)):
        old = next(each for each in site.ends if each.lines is site.lines[me] and each is not end)
        if me == BOB:
            end.deliver()  # it has heard that the new one succeeds, not that the old one moves
        assert site.lines[me].lost(old)
        assert end.aborted
        assert not site.lines[me].peer.connected
        assert not site.lines[me].lost(end)


def test_when_the_new_connection_breaks_early_bob_goes_on_and_alice_comes_again(site: Site) -> None:
    before = site.sessions()
    taken = End(site.lines[BOB], 1, dialled=False)
    taken.far = End(site.lines[ALICE], 1, dialled=True)
    site.lines[BOB].opened(taken)
    assert not site.lines[BOB].lost(taken)
    site.connect(1)
    site.say(ALICE)
    site.settle()
    assert site.got[BOB] == [1]
    assert site.sessions() == before


def test_a_lost_connection_whose_successor_has_said_nothing_yet_makes_room_for_it(site: Site) -> None:
    taken = End(site.lines[BOB], 1, dialled=False)
    taken.far = End(site.lines[ALICE], 1, dialled=True)
    old = site.lines[BOB].heard
    assert old is not None
    site.lines[BOB].opened(taken)
    assert not site.lines[BOB].lost(old)
    assert site.lines[BOB].heard is taken
    assert site.lines[BOB].lost(taken)
