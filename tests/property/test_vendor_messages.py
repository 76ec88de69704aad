"""Whatever the far end of a vendor link sends is a message, or a PeerError; and no sequence of them does harm."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from keyhop.core.errors import PeerError
from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import MAX_MESSAGE_BYTES
from keyhop.link.vendors import messages
from keyhop.link.vendors.device import MAX_NAME_BYTES, MAX_PIECE_BYTES, Piece
from keyhop.link.vendors.follower import MAX_HELD_BYTES, Follower, FollowerEffects
from keyhop.link.vendors.initiator import Initiator, InitiatorEffects
from keyhop.link.vendors.messages import (
    MAX_NAMES,
    Held,
    Hello,
    Message,
    Offer,
    Refused,
    Seal,
    Sealed,
    Stranger,
    Told,
    Welcome,
)

LINK = LinkId("a-b")
RUNS = st.sampled_from([b"initiatr", b"follower", b"stranger"])
NAMES = st.lists(st.sampled_from([b"%d" % n for n in range(12)]), min_size=1, max_size=8).map(tuple)
SEQUENCES = st.integers(0, 6)
SIZES = st.lists(st.sampled_from([1, 32, 64, MAX_PIECE_BYTES]), max_size=8).map(tuple)
ROUNDS = st.integers(1, 5)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, RUNS, st.sampled_from(["fake", "other"]), st.integers(-1, 5), st.binary(max_size=4)),
    st.builds(Welcome, RUNS, RUNS, st.sampled_from(["fake", "other"]), st.integers(-1, 5)),
    st.builds(Offer, RUNS, RUNS, ROUNDS, NAMES, SIZES),
    st.builds(Held, RUNS, RUNS, ROUNDS, st.lists(st.integers(0, 9), max_size=8).map(tuple)),
    st.builds(Seal, RUNS, RUNS, SEQUENCES, NAMES, st.binary(min_size=16, max_size=16)),
    st.builds(Sealed, RUNS, RUNS, SEQUENCES),
    st.builds(Refused, RUNS, RUNS, SEQUENCES, st.booleans()),
    st.builds(Stranger, RUNS),
)


@given(st.binary(max_size=400))
def test_bytes_are_a_message_or_a_peer_error(data: bytes) -> None:
    try:
        message = messages.decode(data)
    except PeerError:
        return
    assert messages.decode(messages.encode(message)) == message


@given(
    st.one_of(MESSAGES, st.builds(Told, st.text(max_size=200), st.booleans())), st.integers(0, 400), st.integers(0, 255)
)
def test_a_changed_message_is_a_message_or_a_peer_error(message: Message | Told, at: int, value: int) -> None:
    data = bytearray(messages.encode(message))
    data[at % len(data)] = value
    try:
        messages.decode(bytes(data))
    except PeerError:
        return


def test_the_longest_messages_fit_into_the_channel() -> None:
    names = tuple(n.to_bytes(2) + bytes(MAX_NAME_BYTES - 2) for n in range(MAX_NAMES))
    offer = Offer(b"initiatr", b"follower", 1, names, (MAX_PIECE_BYTES,) * MAX_NAMES)
    seal = Seal(b"initiatr", b"follower", 1, names, bytes(16))
    held = Held(b"initiatr", b"follower", 1, tuple(range(MAX_NAMES)))
    for message in (offer, seal, held):
        data = messages.encode(message)
        assert len(data) <= MAX_MESSAGE_BYTES
        assert messages.decode(data) == message


@settings(max_examples=300)
@given(st.lists(MESSAGES, max_size=30))
def test_a_follower_survives_any_initiator(received: list[Message]) -> None:
    """It never holds more than its bound, and its sequences rise."""
    follower = Follower("fake", LINK, b"follower", -1, FollowerEffects(lambda message: None, lambda text: None))
    sequences = []
    for message in received:
        try:
            follower.received(again(message))
        except PeerError:
            continue
        request = follower.request
        if request is not None and request.opens:
            follower.opened(request.greeting)
            request = follower.request
        if request is not None and request.offer is not None:
            follower.hold(
                request.offer,
                {name: key(name, size) for name, size in zip(request.offer.names, request.offer.sizes, strict=True)},
            )
        if follower.sealing() and (block := follower.seal()) is not None:
            sequences.append(block[0])
            block[2]()
        assert sum(len(material) for material in follower._held.values()) <= MAX_HELD_BYTES
    assert sequences == sorted(set(sequences))


@settings(max_examples=300)
@given(st.lists(MESSAGES, max_size=30))
def test_an_initiator_survives_any_follower(received: list[Message]) -> None:
    """It uses no sequence twice, and delivers only what it sealed."""
    sealed: list[int] = []
    delivered: list[int] = []
    effects = InitiatorEffects(
        send=lambda message: sealed.append(message.sequence) if isinstance(message, Seal) else None,
        block=lambda sequence, material: delivered.append(sequence),
        lost=lambda names: None,
        trouble=lambda text: None,
    )
    initiator = Initiator("fake", LINK, 64, -1, effects)
    initiator.begin(b"initiatr", b"", 0.0)
    for turn, message in enumerate(received):
        try:
            initiator.received(again(message), float(turn))
        except PeerError:
            continue
        if initiator.wanted_bytes:
            pieces = [Piece(b"%d-%d" % (turn, n), key(b"%d-%d" % (turn, n), 64)) for n in range(3)]
            initiator.check(pieces)
            initiator.offer(pieces, float(turn))
        if initiator.ready:
            initiator.pick()
            if (durable := initiator.seal()) is not None:
                durable(float(turn))
    assert sealed == sorted(set(sealed))
    assert set(delivered) <= set(sealed)
    assert delivered == sorted(set(delivered))


def again(message: Message) -> Message:
    """As it arrives at the far end."""
    arrived = messages.decode(messages.encode(message))
    assert not isinstance(arrived, Told)
    return arrived


def key(name: bytes, size: int) -> KeyMaterial:
    return KeyMaterial(hashlib.shake_128(name).digest(size))
