"""Whatever a peer sends, only PeerError comes out, and frames do not depend on how the bytes arrive."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.errors import PeerError
from keyhop.network import wire
from keyhop.network.hybrid.records import Masked
from keyhop.network.psk.messages import InStream, PskProposed, PskRefused, PskStored
from keyhop.network.relay.messages import (
    Announce,
    BlockPayload,
    Contribution,
    Forward,
    PadPlace,
    PskPayload,
    RecordsPayload,
    Refused,
    Request,
    Stored,
    Stuck,
    Vouch,
)
from keyhop.network.wire.words import Moves, Succeeds, Word, spoken, word_of

TAG = bytes(16)
BODIES: tuple[wire.Body, ...] = (
    wire.Hello(9),
    wire.Replaced(),
    wire.State(wire.OwnerMarks(1, 2, 3, 4), wire.FollowerMarks(5, 6, 7, 8)),
    wire.Offer("alice-bob", 7),
    wire.Placing(1, 1, 0, (wire.Part("alice-bob", 7, TAG), wire.Part("alice-bob", 8, TAG))),
    wire.Placed(1, (0, 1)),
    wire.Leased(1, 2048),
    wire.LeaseNoted(1, 2048),
    wire.Void(1, 8, 16),
    wire.Mark(3),
    wire.MarkNoted(3),
    wire.Carry(TAG, "kme", 1, 8, "master", ("one", "two"), bytes(32), bytes(64), TAG),
    wire.Carry(TAG, "sae", 1, 8, "m", ("s",), TAG, bytes(32), TAG, 3, Masked("mlkem768-kdf-v1", TAG, bytes(32))),
    wire.Carried(TAG, None),
    wire.Carried(TAG, "no"),
    wire.Reclaim(TAG, "master", ("one",), bytes(32), True),
    wire.Reclaimed(TAG, bytes(16)),
    Announce(
        TAG, RecordsPayload(bytes(16), "kme", "m", ("s",), TAG), "hop-by-hop", (("a", "b", "c"),), 1, 32, bytes(32), TAG
    ),
    Announce(TAG, PskPayload(TAG), "hop-by-hop", (("a", "b", "c"),), 1, 32, bytes(32), TAG),
    Announce(TAG, BlockPayload(), "xor-at-destination", (("a", "b"),), 1, 32, bytes(32), TAG, bytes(96)),
    Stored(TAG),
    Refused(TAG, "no"),
    Stuck(TAG, 1, "a", "no"),
    Forward(TAG, 1, ("a", "b", "c"), 4, 1, 8, bytes(80), TAG),
    Request(TAG, ("a", "b", "c"), 4, 32),
    Vouch("a", "b", 4),
    PadPlace(TAG, "a", 96, 1, 8, TAG),
    Contribution(TAG, "a", bytes(96)),
    PskProposed(1, TAG, InStream(1, 8)),
    PskProposed(1, TAG),
    PskStored(TAG),
    PskRefused(TAG),
)
bodies = st.sampled_from(BODIES)
numbers = st.integers(0, (1 << 63) - 1)


def decodes_or_refuses(data: bytes) -> None:
    try:
        envelope = wire.decode(data)
    except PeerError:
        return
    assert wire.decode(wire.encode(envelope)) == envelope


@given(bodies, numbers, numbers)
def test_every_message_comes_out_as_it_went_in(body: wire.Body, sender: int, receiver: int) -> None:
    envelope = wire.Envelope("direct", sender, receiver, body)
    assert wire.decode(wire.encode(envelope)) == envelope


@given(st.sampled_from([Succeeds(TAG), Moves(TAG)]), st.binary(max_size=40), st.integers(0, 40))
def test_what_connections_say_of_themselves_is_no_message_and_nothing_else_is_taken_for_it(
    word: Word, data: bytes, at: int
) -> None:
    assert word_of(spoken(word)) == word
    with pytest.raises(PeerError):
        wire.decode(spoken(word))
    spoilt = spoken(word)[:at] + data
    try:
        assert word_of(spoilt) in (None, word) or len(spoilt) == len(spoken(word))
    except PeerError:
        return


@given(bodies)
def test_no_message_is_taken_for_a_word_of_a_connection(body: wire.Body) -> None:
    assert word_of(wire.encode(wire.Envelope("direct", 1, 1, body))) is None


@given(st.binary(max_size=200))
def test_random_bytes_are_at_most_a_peer_error(data: bytes) -> None:
    decodes_or_refuses(data)


@given(bodies, st.data())
def test_altered_messages_are_at_most_a_peer_error(body: wire.Body, data: st.DataObject) -> None:
    message = bytearray(wire.encode(wire.Envelope("direct", 1, 2, body)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1))
        match data.draw(st.sampled_from(("change", "cut", "insert"))):
            case "change":
                message[at] = data.draw(st.integers(0, 255))
            case "cut" if len(message) > 1:
                del message[at]
            case _:
                message.insert(at, data.draw(st.integers(0, 255)))
    decodes_or_refuses(bytes(message))


@given(bodies)
def test_a_message_cut_short_or_with_a_tail_is_refused(body: wire.Body) -> None:
    message = wire.encode(wire.Envelope("direct", 1, 2, body))
    for bad in (*(message[:end] for end in range(len(message))), message + b"\0"):
        with pytest.raises(PeerError):
            wire.decode(bad)


@pytest.mark.parametrize(
    "content",
    [
        (1, 2, ["Hello", 3], 3),
        (1, 2, ["Hello"]),
        (1, 2, ["Hello", 3, 3]),
        (1, 2, ["Hello", -1]),
        (1, 2, ["Replaced", 3]),
        (1, 2, ["State", [1, 2, 3, 4, 5], [1, 2, 3, 4]]),
        (1, 2, ["State", [1, 2, 3, 4], [1, 2, 3, 4, 5]]),
        (1, 2, ["Placing", 1, 1, 0, [["link", 1, TAG, 9]]]),
        (1, 2, ["Placing", 1, 1, 0, []]),
        (1, 2, ["Placing", 1, 1, 0, [["link", 1, TAG]] * 65]),
        (1, 2, ["Offer", "link", -1]),
        (1, 2, ["Offer", "link", 1 << 63]),
        (1, 2, ["Offer", "link", True]),
        (1, 2, ["Offer", "link", 1.0]),
        (1, 2, ["Offer", "", 1]),
        (1, 2, ["Offer", "x" * 65, 1]),
        (1, 2, ["Leased", 1, (1 << 36) + 1]),
        (1, 2, ["Carried", TAG, 1]),
        (1, 2, ["Carried", TAG, "x" * 201]),
        (1, 2, ["Carried", TAG + b"\0", None]),
        (1, 2, ["Carry", TAG, 1, 8, "m", ["s"], float("nan"), TAG, TAG, TAG]),
        (1, 2, ["Carry", TAG, 1, 8, "m", ["s"], float("inf"), TAG, TAG, TAG]),
        (1, 2, ["Carry", TAG, 1, 8, "m", [], 1.0, TAG, TAG, TAG]),
        (1, 2, ["Goodbye"]),
        (-1, 2, ["Hello", 3]),
        "Hello",
    ],
)
def test_what_is_not_exactly_a_message_is_refused(content: object) -> None:
    with pytest.raises(PeerError):
        wire.decode(msgspec.msgpack.encode(content))


def test_a_name_that_is_not_utf8_is_a_peer_error() -> None:
    with pytest.raises(PeerError):
        wire.decode(b"\x93\x01\x02\x93\xa5Offer\xa2\xff\xfe\x01")


def test_deep_nesting_is_a_peer_error() -> None:
    with pytest.raises(PeerError):
        wire.decode(b"\x91" * 100_000 + b"\x01")


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    secret = b"\xa9" + b"very-secret-bytes"
    with pytest.raises(PeerError) as refused:
        wire.decode(b"\x93\x01\x02" + secret)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(0, 300), max_size=8))
def test_frames_do_not_depend_on_where_the_bytes_are_split(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(wire.frame(message) for message in messages)
    frames, got, at = wire.Frames(), list[bytes](), 0
    for cut in sorted(cuts):
        got += frames.feed(stream[at : max(at, cut)])
        at = max(at, cut)
    got += frames.feed(stream[at:])
    assert got == messages


@given(st.integers(wire.MAX_FRAME_BYTES + 1, (1 << 32) - 1), st.binary(max_size=8))
def test_an_oversize_frame_is_refused_from_its_length_alone(length: int, tail: bytes) -> None:
    frames = wire.Frames()
    assert frames.feed(wire.frame(b"before")) == [b"before"]
    with pytest.raises(PeerError):
        frames.feed(length.to_bytes(wire.LENGTH_BYTES) + tail)


def test_a_frame_of_the_greatest_length_passes() -> None:
    message = bytes(wire.MAX_FRAME_BYTES)
    assert wire.Frames().feed(wire.frame(message)) == [message]
