"""Whatever happens to one message on its way, the seal finds it."""

import hashlib

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keyhop.core.errors import PeerError
from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial
from keyhop.link.bb84.authentication.enrolment import ENTRY_BYTES
from keyhop.link.bb84.authentication.tag_keys import Role, TagKey
from keyhop.link.bb84.authentication.transcripts import Transcript, context

MESSAGES = st.lists(st.binary(max_size=40), min_size=1, max_size=6)
ROLES: st.SearchStrategy[Role] = st.sampled_from(["transmitter", "receiver"])
KEYS = st.integers(0, 1 << 32).map(lambda seed: hashlib.sha256(seed.to_bytes(8)).digest())
"""As good as random: hypothesis likes keys such as r = 1, under which Poly1305 is a sum and order does not matter."""


def altered(draw: st.DrawFn, messages: list[bytes]) -> list[bytes]:
    at = draw(st.integers(0, len(messages) - 1))
    message, result = messages[at], list(messages)
    match draw(st.sampled_from(["flip", "drop", "repeat", "swap", "truncate", "extend", "split", "join", "invent"])):
        case "flip":
            assume(message)
            i = draw(st.integers(0, len(message) - 1))
            result[at] = message[:i] + bytes([message[i] ^ 1 << draw(st.integers(0, 7))]) + message[i + 1 :]
        case "drop":
            del result[at]
        case "repeat":
            result.insert(at, message)
        case "swap":
            other = draw(st.integers(0, len(messages) - 1))
            result[at], result[other] = result[other], result[at]
        case "truncate":
            assume(message)
            result[at] = message[: draw(st.integers(0, len(message) - 1))]
        case "extend":
            result[at] = message + draw(st.binary(min_size=1, max_size=20))
        case "split":
            i = draw(st.integers(0, len(message)))
            result[at : at + 1] = [message[:i], message[i:]]
        case "join":
            result[at : at + 2] = [b"".join(messages[at : at + 2])]
        case "invent":
            result.insert(at, draw(st.binary(max_size=20)))
    return result


@st.composite
def tampering(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    said = draw(MESSAGES)
    heard = altered(draw, said)
    assume(heard != said)
    return said, heard


def opened(role: Role, run: bytes, key: bytes, earlier: int = 0) -> Transcript:
    transcript = Transcript(context(LinkId("link"), run, role))
    for _ in range(earlier):
        transcript.open(KeyMaterial(bytes(32)))
        transcript.seal()
    transcript.open(KeyMaterial(key))
    return transcript


@settings(deadline=None, max_examples=400)
@given(tampered=tampering(), role=ROLES, key=KEYS, earlier=st.integers(0, 2))
def test_any_single_change_is_refused_at_the_seal(
    tampered: tuple[list[bytes], list[bytes]], role: Role, key: bytes, earlier: int
) -> None:
    said, heard = tampered
    sender, good, bad = (opened(role, b"run", key, earlier) for _ in range(3))
    for transcript, messages in ((sender, said), (good, said), (bad, heard)):
        for message in messages:
            transcript.add(message)
    tag = sender.seal()
    good.verify(tag)
    with pytest.raises(PeerError):
        bad.verify(tag)


@settings(deadline=None, max_examples=200)
@given(messages=MESSAGES, role=ROLES, key=KEYS, bit=st.integers(0, 127))
def test_any_altered_tag_is_refused(messages: list[bytes], role: Role, key: bytes, bit: int) -> None:
    sender, receiver = opened(role, b"run", key), opened(role, b"run", key)
    for message in messages:
        sender.add(message)
        receiver.add(message)
    tag = (int.from_bytes(sender.seal()) ^ 1 << bit).to_bytes(16)
    with pytest.raises(PeerError):
        receiver.verify(tag)


@settings(deadline=None, max_examples=200)
@given(
    messages=MESSAGES,
    key=KEYS,
    places=st.lists(st.tuples(ROLES, st.binary(max_size=16), st.integers(0, 2)), min_size=2, max_size=2, unique=True),
)
def test_a_tag_is_good_at_one_place_only_even_under_the_same_key(
    messages: list[bytes], key: bytes, places: list[tuple[Role, bytes, int]]
) -> None:
    """Another direction, another run, another number of seals before."""
    (role, run, earlier), (other_role, other_run, other_earlier) = places
    sender, receiver = opened(role, run, key, earlier), opened(other_role, other_run, key, other_earlier)
    for message in messages:
        sender.add(message)
        receiver.add(message)
    with pytest.raises(PeerError):
        receiver.verify(sender.seal())


@given(entry=st.binary(min_size=ENTRY_BYTES, max_size=ENTRY_BYTES))
def test_what_one_end_sends_with_the_other_receives_with(entry: bytes) -> None:
    alice = TagKey(bytes(12), KeyMaterial(entry), "transmitter")
    bob = TagKey(bytes(12), KeyMaterial(entry), "receiver")
    assert (alice.sending, alice.receiving) == (bob.receiving, bob.sending)
    parts = [part.reveal() for part in (alice.sending, alice.receipt, bob.sending, bob.receipt, bob.proof)]
    assert b"".join(parts) == entry, "no byte has two uses"
    alice.confirm(bob.receipt.reveal())
    bob.confirm(alice.receipt.reveal())
