"""A peer with a valid certificate that says whatever it likes: it can spoil its own streams, and nothing else."""

import random
from collections import defaultdict

import msgspec
import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core import record_room
from keyhop.core.errors import BadRequest, KeyhopError, PeerError, Unavailable
from keyhop.core.ids import KmeId, LinkId, SaeId
from keyhop.core.key_id import EpochKeyIds
from keyhop.core.keys import KeyMaterial
from keyhop.core.record_ids import record_ids
from keyhop.core.streams import StreamRef
from keyhop.core.streams.followed import MAX_EPOCHS
from keyhop.network import wire
from keyhop.network.pair import Pair, PairOptions
from keyhop.network.sealing import authenticated
from keyhop.network.windows import WAIT_S, WINDOW_S
from keyhop.service.policy import Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.kme import VirtualKme
from keyhop.testing.virtual import SeededEntropy, VirtualClock

ALICE, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")
A1, B1, B2, C1 = SaeId("a1"), SaeId("b1"), SaeId("b2"), SaeId("c1")
OF_ALICE = (A1, SaeId("a2"), SaeId("a3"), SaeId("a4"))
LINK = LinkId("alice-bob")
MAC_BYTES = 32
STOCK_BYTES = 1 << 16


class Bob:
    """The victim, and alice, who has his session and sends what a test makes her send."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.sent: dict[KmeId, list[wire.Envelope]] = defaultdict(list)
        self.kme = VirtualKme(
            BOB,
            (ALICE, CAROL),
            {**dict.fromkeys(OF_ALICE, ALICE), B1: BOB, B2: BOB, C1: CAROL},
            self.clock,
            SeededEntropy(1),
            self._note,
            Policy(),
            PairOptions(stock_bytes=STOCK_BYTES),
        )
        self._sessions = 0
        self.synchronise(CAROL)
        self.synchronise(ALICE)
        for peer in self.kme.peers.values():
            peer.relayed.windows.synchronised()

    def _note(self, peer: KmeId, data: bytes) -> None:
        envelope = wire.decode(data)
        if envelope.route == "direct":
            self.sent[peer].append(envelope)

    @property
    def pair(self) -> Pair:
        return self.kme.peers[ALICE].neighbour

    def flush(self) -> None:
        while self.kme.journal.dirty or self.kme.journal._effects:
            self.kme.journal.flush()

    def hear(self, body: wire.Body, peer: KmeId = ALICE) -> None:
        """Whatever breaks the protocol is PeerError; any other exception is the test's failure."""
        receiver = 0 if isinstance(body, wire.Hello) else self.sent[peer][-1].sender
        self.kme.peers[peer].received(wire.encode(wire.Envelope("direct", self._sessions, receiver, body)))
        self.flush()

    def synchronise(
        self, peer: KmeId = ALICE, owned: wire.OwnerMarks | None = None, followed: wire.FollowerMarks | None = None
    ) -> None:
        """A new session in which the peer claims these marks, by default those of an honest one."""
        self._sessions += 1
        self.flush()
        self.hear(wire.Hello(1), peer)
        state = next(e.body for e in reversed(self.sent[peer]) if isinstance(e.body, wire.State))
        mine, theirs = state.owned, state.followed
        honest_owner = wire.OwnerMarks(max(theirs.epoch, 1), theirs.produced, theirs.taken, theirs.mark, theirs.history)
        honest_follower = wire.FollowerMarks(
            mine.epoch if mine.produced else 0, mine.produced, mine.taken, mine.mark_seen, mine.history
        )
        self.hear(wire.State(owned or honest_owner, followed or honest_follower), peer)
        self.note_mark(peer)

    def note_mark(self, peer: KmeId = ALICE) -> None:
        self.hear(wire.MarkNoted(self.kme.peers[peer].neighbour.followed.mark), peer)

    def produce(self, sequence: int, size: int = 4096) -> bytes:
        data = random.Random(sequence).randbytes(size)
        self.pair.link_block(LINK, sequence, KeyMaterial(data), self.clock.wall(), "test")
        self.flush()
        return data

    def place(self, sequence: int, epoch: int = 1, start: int | None = None, size: int = 4096) -> bytes:
        """Alice places a block in her stream; what follows its MAC key."""
        data = self.produce(sequence, size)
        self.hear(placing(sequence, data, epoch, self.pair.followed.produced if start is None else start))
        return data[MAC_BYTES:]

    def last_placing(self) -> wire.Placing:
        return next(e.body for e in reversed(self.sent[ALICE]) if isinstance(e.body, wire.Placing))

    def claim(self, slave: SaeId, master: SaeId, *ids: bytes) -> list[Keys | KeyhopError]:
        answers: list[Keys | KeyhopError] = []
        self.kme.delivery.get_key_with_ids(GetKeyWithIds(slave, master, b"".join(ids)), answers.append)
        self.flush()
        return answers

    def local_key(self) -> bytes:
        """The ID of a key of two SAEs of bob's: no business of alice's."""
        answers: list[Keys | KeyhopError] = []
        self.kme.delivery.get_key(GetKey(B1, B2), answers.append)
        self.flush()
        (keys,) = answers
        assert isinstance(keys, Keys)
        return keys.runs[0].ids


def placing(sequence: int, data: bytes, epoch: int, start: int) -> wire.Placing:
    poly = Poly1305(data[:MAC_BYTES])
    poly.update(b"keyhop block v1" + len(LINK).to_bytes(2) + LINK.encode() + sequence.to_bytes(8))
    poly.update(data[MAC_BYTES:])
    return wire.Placing(sequence, epoch, start, (wire.Part(LINK, sequence, poly.finalize()),))


def carry(stream: bytes, pad: int, ids: bytes, master: SaeId = A1) -> wire.Carry:
    """Records of one zero byte each, under the pad at a position of alice's stream."""
    count = len(ids) // 16
    secret = stream[pad * 8 : pad * 8 + MAC_BYTES + count]
    bare = wire.Carry(bytes(16), "kme", 1, pad, master, (B1,), ids, secret[MAC_BYTES:])
    tag = Poly1305.generate_tag(secret[:MAC_BYTES], authenticated(bare, StreamRef(ALICE, BOB)))
    return msgspec.structs.replace(bare, tag=tag)


@pytest.fixture
def bob() -> Bob:
    return Bob()


def test_a_block_that_was_left_to_us_is_not_placed_by_the_other_end_as_well(bob: Bob) -> None:
    data = bob.produce(1)
    bob.hear(wire.Offer(LINK, 1))
    mine = bob.last_placing()
    bob.hear(placing(1, data, 1, 0))
    bob.hear(wire.Placed(mine.place))
    assert (bob.pair.owned.produced > 0, bob.pair.followed.produced) == (True, 0)


def test_what_the_other_end_places_and_never_takes_is_bounded(bob: Bob) -> None:
    for sequence in range(1, 101):
        bob.place(sequence)
    assert STOCK_BYTES < bob.pair.followed.available_bytes < 3 * STOCK_BYTES


def test_what_the_other_end_leaves_to_us_is_bounded(bob: Bob) -> None:
    for sequence in range(1, 101):
        bob.produce(sequence)
        bob.hear(wire.Offer(LINK, sequence))
        bob.hear(wire.Placed(bob.last_placing().place))
    assert STOCK_BYTES < bob.pair.owned.available_bytes < 3 * STOCK_BYTES


def test_an_epoch_for_each_block_does_not_fill_our_memory(bob: Bob) -> None:
    for epoch in range(1, 4 * MAX_EPOCHS):
        bob.place(epoch, epoch, 0, 512)
        bob.hear(wire.Leased(epoch, bob.pair.followed.produced))
    assert len(bob.pair.followed._state.epochs) == MAX_EPOCHS
    assert bob.pair.followed.ledger.balances(bob.pair.followed.available_bytes)


def test_a_range_that_ends_before_it_begins_is_a_broken_protocol(bob: Bob) -> None:
    bob.place(1)
    bob.hear(wire.Leased(1, 500))
    with pytest.raises(PeerError):
        bob.hear(wire.Void(1, 200, 100))


def test_an_owner_cannot_have_taken_more_than_it_produced(bob: Bob) -> None:
    """Else it could place other bytes where keys were given out, under the same key IDs."""
    bob.place(1)
    before = bob.pair.followed.produced, bob.pair.followed.history
    bob.place(2)
    taken = bob.pair.followed.produced
    bob.hear(wire.Leased(1, taken))
    with pytest.raises(PeerError):
        bob.synchronise(owned=wire.OwnerMarks(1, before[0], taken, bob.pair.followed.mark, before[1]))


HIGHEST = (1 << 63) - 1


@pytest.mark.parametrize(
    "claim",
    [
        {"owned": wire.OwnerMarks(1, 0, 0, HIGHEST)},
        {"owned": wire.OwnerMarks(HIGHEST, 0, 0, 0)},
        {"followed": wire.FollowerMarks(HIGHEST, 0, 0, 0)},
        {"followed": wire.FollowerMarks(1, 0, 0, HIGHEST)},
    ],
)
def test_numbers_that_nobody_reaches_are_not_believed(bob: Bob, claim: dict[str, wire.OwnerMarks]) -> None:
    """They would outgrow what a message can say, and the pair could never agree again."""
    with pytest.raises(PeerError):
        bob.synchronise(**claim)  # type: ignore[arg-type]


def test_a_mark_that_nobody_reaches_is_not_believed(bob: Bob) -> None:
    with pytest.raises(PeerError):
        bob.hear(wire.Mark(HIGHEST))


def test_an_epoch_that_nobody_reaches_is_not_believed(bob: Bob) -> None:
    with pytest.raises(PeerError):
        bob.place(1, HIGHEST, 0)


@pytest.mark.parametrize(
    "claim", [{"followed": wire.FollowerMarks(5, 0, 0, 0)}, {"owned": wire.OwnerMarks(1, 0, 0, 1000)}]
)
def test_a_peer_that_calls_us_restored_erases_no_keys_of_others(bob: Bob, claim: dict[str, wire.OwnerMarks]) -> None:
    """We know better: what came since this process began was never on a backup."""
    key_id = bob.local_key()
    bob.synchronise(**claim)  # type: ignore[arg-type]
    (answer,) = bob.claim(B2, B1, key_id)
    assert isinstance(answer, Keys)


def test_carried_records_do_not_take_all_the_room(bob: Bob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_room, "MAX_RECORDS", 8)
    stream = bob.place(1)
    bob.hear(wire.Leased(1, bob.pair.followed.produced))
    bob.hear(carry(stream, 8, record_ids(random.Random(0).randbytes(16 * 4))))
    bob.hear(carry(stream, 100, record_ids(random.Random(1).randbytes(16))))
    assert len(bob.kme.records) == 4
    bob.local_key()


def test_records_of_many_masters_of_one_peer_do_not_take_all_the_room(
    bob: Bob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_room, "MAX_RECORDS", 8)
    stream = bob.place(1)
    bob.hear(wire.Leased(1, bob.pair.followed.produced))
    for number in range(16):
        ids = record_ids(random.Random(number).randbytes(16))
        bob.hear(carry(stream, 8 + 20 * number, ids, OF_ALICE[number // 4]))
    assert len(bob.kme.records) == 4
    for _ in range(2):
        bob.local_key()


def test_a_carried_record_does_not_outlive_ours(bob: Bob) -> None:
    stream = bob.place(1)
    bob.hear(wire.Leased(1, bob.pair.followed.produced))
    bob.hear(carry(stream, 8, record_ids(bytes(16))))
    assert len(bob.kme.records) == 1
    bob.kme.records.expire(bob.clock.wall() + 1)
    assert len(bob.kme.records) == 0


def test_a_carried_record_cannot_stand_in_the_way_of_a_stream_s_key(bob: Bob) -> None:
    """Its ID would be that of another pair's key, and be found first."""
    stream = bob.place(1)
    bob.hear(wire.Leased(1, bob.pair.followed.produced))
    other = EpochKeyIds(bytes(range(64))).pair(C1, B1).seal(100, 32)
    bob.hear(carry(stream, 8, other))
    assert len(bob.kme.records) == 0


def test_ids_whose_places_overlap_are_not_given_out(bob: Bob) -> None:
    """The second key would be made of erased bytes."""
    stream = bob.place(1)
    bob.hear(wire.Leased(1, bob.pair.followed.produced))
    ids = EpochKeyIds(stream[:64]).pair(A1, B1)
    (answer,) = bob.claim(B1, A1, ids.seal(102, 32), ids.seal(100, 32))
    assert isinstance(answer, BadRequest)
    assert bob.pair.followed.ledger.balances(bob.pair.followed.available_bytes)


def test_a_peer_that_notes_no_mark_keeps_nobody_waiting_for_ever_and_nobody_from_keys_of_others(bob: Bob) -> None:
    of_bobs = bob.local_key()
    stream = bob.place(1)
    bob.hear(wire.Leased(1, bob.pair.followed.produced))
    of_alice = EpochKeyIds(stream[:64]).pair(A1, B1).seal(100, 32)
    bob.clock.advance(2)
    answers = [bob.claim(B2, B1, of_bobs), bob.claim(B1, A1, of_alice)]
    bob.clock.advance(WAIT_S / 2)
    bob.kme.tick()
    bob.flush()
    early = [list(answer) for answer in answers]
    bob.clock.advance(WAIT_S)
    bob.kme.tick()
    bob.flush()
    assert early == [[], []]
    assert [type(answer) for (answer,) in answers] == [Keys, Unavailable]


@pytest.mark.parametrize("ids", [b"", bytes(5), bytes(37)])
def test_ids_of_keys_to_take_back_are_whole(bob: Bob, ids: bytes) -> None:
    bob.clock.advance(2 * WINDOW_S)  # whoever enters has to wait for a window
    with pytest.raises(PeerError):
        bob.hear(wire.Reclaim(bytes(16), A1, (B1,), ids, spare_fetched=False))
