"""Whatever the far end of a BB84 link says, the engine neither fails nor delivers."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhop.core.errors import PeerError
from keyhop.link.bb84.protocol import messages
from keyhop.link.bb84.protocol.condition import Condition
from keyhop.link.bb84.protocol.messages import (
    Alive,
    Announcement,
    Answer,
    Begin,
    Body,
    Bye,
    Counted,
    Differs,
    Digest,
    Done,
    Final,
    FrameBits,
    FrameDigests,
    Hello,
    Open,
    Piece,
    Reconcile,
    Tag,
    Wrong,
    decode,
    decode_body,
    encode,
)
from keyhop.testing.bb84_link import EngineEnd, EnginePair, options

numbers = st.one_of(st.integers(0, 3), st.integers(0, (1 << 63) - 1))
bits = st.one_of(st.integers(0, 20_000), st.integers(0, 1 << 40))
data = st.binary(max_size=300)
sixteen = st.binary(min_size=16, max_size=16)
bodies: st.SearchStrategy[Body] = st.one_of(
    st.builds(Alive, st.booleans()),
    st.builds(Announcement, data, st.sampled_from(["sample", "middle", "end"])),
    st.builds(Answer, data),
    st.builds(Open, st.binary(min_size=12, max_size=12), sixteen),
    st.builds(Begin, numbers, sixteen),
    st.builds(Reconcile, numbers, data),
    st.builds(Wrong, numbers, st.lists(bits, max_size=4).map(tuple)),
    st.builds(FrameBits, numbers, data),
    st.builds(Digest, numbers, sixteen, sixteen),
    st.builds(Differs, numbers),
    st.builds(FrameDigests, numbers, sixteen, data),
    st.builds(Counted, numbers, st.tuples(bits, bits), st.tuples(bits, bits, bits, bits), st.booleans()),
    st.builds(Final, numbers, data, bits, bits, numbers, st.text(max_size=20), st.booleans()),
    st.builds(Tag, sixteen),
    st.builds(Done, numbers, sixteen),
)


@given(bodies)
def test_bodies_survive_the_line(body: Body) -> None:
    assert decode_body(encode(body)) == body


@given(st.binary(max_size=200))
def test_noise_is_a_peer_error(noise: bytes) -> None:
    for read in (decode, decode_body):
        try:
            read(noise)
        except PeerError:
            continue


@pytest.mark.parametrize(
    "message",
    [
        Hello(b"n" * 15, b"", "receiver", "{}", (), -1),
        Hello(b"n" * 16, b"e" * 17, "receiver", "{}", (), -1),
        Hello(b"n" * 16, b"", "receiver", "x" * 8193, (), -1),
        Hello(b"n" * 16, b"", "receiver", "{}", (b"x" * 12,) * 1025, -1),
        Hello(b"n" * 16, b"", "receiver", "{}", (b"x" * 11,), -1),
        Hello(b"n" * 16, b"", "receiver", "{}", (), -2),
        Bye(b""),
        Piece(b"r" * 16, -1, False, b""),
        Piece(b"r" * 16, 0, False, bytes(messages.MAX_PIECE_BYTES + 1)),
    ],
)
def test_what_is_out_of_bounds_is_a_peer_error(message: messages.Message) -> None:
    with pytest.raises(PeerError, match="malformed"):
        decode(encode(message))


def test_an_unending_body_is_refused_before_it_fills_the_memory() -> None:
    pair = talking(1)
    run = pair.transmitter.engine._session
    assert run is not None
    piece = bytes(messages.MAX_PIECE_BYTES)
    index = run.run._heard
    for number in range(messages.MAX_BODY_BYTES // messages.MAX_PIECE_BYTES + 2):
        pair.transmitter.inbox.append(encode(Piece(run.run.id, index + number, True, piece)))
    pair.transmitter.inbox.append(encode(Bye(b"x" * 16)))
    while pair.transmitter.inbox:
        pair.transmitter.take()
    assert pair.transmitter.state == "stopped"


def talking(steps: int) -> EnginePair:
    """Two ends so many steps into a conversation, in which nothing has been delivered yet."""
    pair = EnginePair(options(block_bits=10_000))
    for _ in range(steps):
        pair.step(0.1)
    return pair


def say(end: EngineEnd, body: Body) -> None:
    """As if the far end had said that next."""
    session = end.engine._session
    if session is not None:
        message = encode(Piece(session.run.id, session.run._heard, False, encode(body)))
        end.do(end.engine.received(message))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["transmitter", "receiver"]), st.integers(1, 8), st.lists(bodies, min_size=1, max_size=6))
def test_nothing_that_the_far_end_makes_up_breaks_an_end_or_is_delivered(
    role: str, steps: int, said: list[Body]
) -> None:
    pair = talking(steps)
    end = pair.transmitter if role == "transmitter" else pair.receiver
    before = len(end.blocks)
    for body in said:
        say(end, body)
    assert len(end.blocks) == before
    # And what it was told does no harm to what comes after.
    pair.generate(6.0, step_s=0.2)
    assert len(end.blocks) > before
    pair.shared()


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 120), bodies)
def test_in_the_middle_of_a_round_too(messages_before: int, body: Body) -> None:
    pair = talking(5)
    for end in pair.ends:
        end.time.stall(0.2)
        end.tick()
    pair.receiver.look(200_000)
    for _ in range(messages_before):
        for end in pair.ends:
            if end.inbox:
                end.take()
    if pair.receiver.blocks or pair.transmitter.blocks:
        return
    for end in pair.ends:
        say(end, body)
        assert end.blocks == []


@given(st.text(max_size=50), st.binary(max_size=16))
def test_greetings_with_any_settings_are_answered_or_objected_to(text: str, echo: bytes) -> None:
    end = EnginePair(options()).transmitter
    hello = Hello(b"n" * 16, echo, "receiver", text, (), 5)
    end.do(end.engine.received(encode(hello)))
    assert end.reason.startswith("both ends are configured differently")


def test_an_old_greeting_does_not_end_a_run() -> None:
    pair = talking(6)
    session = pair.receiver.engine._session
    assert session is not None
    old = msgspec.structs.replace(session.run.far, nonce=b"o" * 16, echo=b"p" * 16)
    pair.receiver.do(pair.receiver.engine.received(encode(old)))
    assert pair.receiver.engine._session is session


def test_of_failures_in_a_row_the_first_one_is_told_and_raises_one_alarm() -> None:
    condition = Condition()
    condition.stopped("light quality", "QBER 25 %", alarm=True)
    condition.stopped("light quality", "QBER 26 %", alarm=True)
    assert (condition.reason, len(condition.events())) == ("QBER 25 %", 1)
    condition.sample_is_fine()
    assert (condition.state, condition.reason) == ("generating", None)
    condition.stopped("suspicion", "blinded", alarm=True, needs_key=True)
    condition.sample_is_fine()
    assert condition.reason == "blinded"
    condition.recovered()
    assert condition.reason is None


def test_the_error_rate_that_it_stopped_for_is_shown_until_it_goes_on() -> None:
    condition = Condition()
    condition.stopped("light quality", "QBER 25 %", needs_key=True, qber=0.25)
    condition.stopped("away", "the far end does not answer")
    assert condition.qber == 0.25
    condition.stopped("yield", "no key", needs_key=True, qber=0.07)
    assert condition.qber == 0.07
    condition.recovered()
    assert condition.qber is None


def test_after_an_alarm_only_a_key_counts_whatever_else_happens_meanwhile() -> None:
    condition = Condition()
    condition.stopped("light quality", "QBER 25 %", alarm=True, needs_key=True)
    condition.stopped("away", "the far end does not answer")
    condition.starting("looking at the light")
    condition.sample_is_fine()
    assert (condition.state, condition.needs_key) == ("starting", True)
    condition.recovered()
    assert (condition.state, condition.needs_key) == ("generating", False)
    condition.stopped("away", "the far end does not answer")
    condition.sample_is_fine()
    assert condition.state == "generating"
