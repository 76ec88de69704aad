import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.errors import LinkError, PeerError
from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial
from keyhop.link.bb84.authentication.enrolment import ENTRY_BYTES
from keyhop.link.bb84.authentication.tag_keys import Role, TagKey
from keyhop.link.bb84.authentication.transcripts import (
    MAX_HELD_BYTES,
    MAX_STRETCH_BYTES,
    Authentication,
    Transcript,
    context,
    forgery_probability,
)

KEY = KeyMaterial(bytes(range(32)))
LINK = LinkId("ab")


def poly1305(key: bytes, message: bytes) -> bytes:
    """RFC 8439, section 2.5.1, in integers: written from the text, for comparison only."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    accumulator = 0
    for start in range(0, len(message), 16):
        accumulator = (accumulator + int.from_bytes(message[start : start + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((accumulator + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


VECTORS = {
    "2.5.2": (
        "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
        b"Cryptographic Forum Research Group".hex(),
        "a8061dc1305136c6c22b8baf0c0127a9",
    ),
    "A.3 #1": ("00" * 32, "00" * 64, "00" * 16),
    "A.3 #7": ("02" + "00" * 31, "ff" * 16, "03" + "00" * 15),
    "A.3 #8": ("02" + "00" * 15 + "ff" * 16, "02" + "00" * 15, "03" + "00" * 15),
    "A.3 #9": ("02" + "00" * 31, "fd" + "ff" * 15, "fa" + "ff" * 15),
}
"""RFC 8439: key, message and tag."""


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
def test_the_primitive_is_the_one_of_rfc_8439(vector: tuple[str, str, str]) -> None:
    key, message, tag = map(bytes.fromhex, vector)
    assert poly1305(key, message) == Poly1305.generate_tag(key, message) == tag


def test_a_tag_is_over_context_number_and_messages_each_with_its_length() -> None:
    transcript = Transcript(b"whose")
    said = [[b"one", b"", b"three" * 100], [], [b"more"]]
    for number, messages in enumerate(said):
        key = bytes([number + 1]) * 32
        expected = (5).to_bytes(8) + b"whose" + number.to_bytes(8)
        for message in messages[:1]:
            transcript.add(message)
        transcript.open(KeyMaterial(key))
        for message in messages[1:]:
            transcript.add(message)
        expected += b"".join(len(message).to_bytes(8) + message for message in messages)
        assert transcript.size_bytes == len(expected)
        assert transcript.seal() == poly1305(key, expected)


def test_the_format_of_tags_does_not_change_between_versions() -> None:
    # origin: the formula of the module, computed with `poly1305` above
    run = bytes(range(16))
    fields = (b"keyhop bb84 v1", b"ab", run, b"transmitter")
    inner = b"".join(len(field).to_bytes(8) + field for field in fields)
    assert context(LINK, run, "transmitter") == inner
    transcript = Transcript(inner)
    transcript.open(KEY)
    transcript.add(b"hello")
    said = len(inner).to_bytes(8) + inner + bytes(8) + (5).to_bytes(8) + b"hello"
    assert transcript.seal() == poly1305(KEY.reveal(), said) == bytes.fromhex("09ccd6cdd02991aab9002a14e2131a7c")


def test_contexts_of_different_fields_differ() -> None:
    fields: list[tuple[str, bytes, Role]] = [
        ("ab", b"c", "transmitter"),
        ("ab", b"c", "receiver"),
        ("a", b"bc", "transmitter"),
        ("abc", b"", "transmitter"),
    ]
    assert len({context(LinkId(link), run, role) for link, run, role in fields}) == len(fields)


def test_memory_views_and_arrays_of_wider_items_count_as_their_bytes() -> None:
    tags = []
    for message in (b"\1\0\2\0", bytearray(b"\1\0\2\0"), memoryview(b"\1\0\2\0").cast("H")):
        transcript = Transcript(b"")
        transcript.open(KEY)
        transcript.add(message)
        tags.append(transcript.seal())
    assert len(set(tags)) == 1


def test_a_held_message_is_what_it_was_when_it_was_added() -> None:
    buffer = bytearray(b"before")
    transcripts = Transcript(b""), Transcript(b"")
    transcripts[0].add(buffer)
    transcripts[1].add(b"before")
    buffer[:] = b"after!"
    for transcript in transcripts:
        transcript.open(KEY)
    transcripts[1].verify(transcripts[0].seal())


def test_no_tag_without_a_key_and_no_second_key_for_a_stretch() -> None:
    transcript = Transcript(b"")
    with pytest.raises(LinkError, match="no authentication key"):
        transcript.seal()
    with pytest.raises(LinkError, match="no authentication key"):
        transcript.verify(bytes(16))
    transcript.open(KEY)
    with pytest.raises(LinkError, match="any further"):
        transcript.open(KEY)
    transcript.seal()
    with pytest.raises(LinkError, match="no authentication key"):
        transcript.seal()


@pytest.mark.parametrize("tag", [b"", bytes(15), bytes(16), bytes(17)])
def test_a_wrong_tag_is_the_last_word(tag: bytes) -> None:
    transcript = Transcript(b"")
    transcript.open(KEY)
    with pytest.raises(PeerError, match="tampered"):
        transcript.verify(tag)
    with pytest.raises(LinkError, match="any further"):
        transcript.open(KEY)


def test_what_is_said_before_the_key_is_there_is_bounded() -> None:
    transcript = Transcript(b"")
    transcript.add(bytes(MAX_HELD_BYTES - 8))
    with pytest.raises(LinkError, match="too much"):
        transcript.add(b"")
    transcript.open(KEY)
    transcript.add(b"goes on")


def test_what_is_said_in_one_stretch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyhop.link.bb84.authentication.transcripts.MAX_STRETCH_BYTES", 100)
    transcript = Transcript(b"")
    transcript.open(KEY)
    transcript.add(bytes(76))
    with pytest.raises(LinkError, match="too much"):
        transcript.add(b"")


def test_the_forgers_chances() -> None:
    assert forgery_probability(16) == 8 / 2**106
    assert forgery_probability(17) == 16 / 2**106
    assert forgery_probability(MAX_STRETCH_BYTES) == 2**-75
    assert 2.7e-25 < forgery_probability(45_000_000) < 2.9e-25


class TestBothDirections:
    def ends(self) -> tuple[Authentication, Authentication]:
        return Authentication(LINK, b"run", "transmitter"), Authentication(LINK, b"run", "receiver")

    def keys(self, number: int = 1) -> tuple[TagKey, TagKey]:
        entry = KeyMaterial(bytes((number + i) % 256 for i in range(ENTRY_BYTES)))
        return TagKey(bytes(12), entry, "transmitter"), TagKey(bytes(12), entry, "receiver")

    def test_stretch_after_stretch(self) -> None:
        alice, bob = self.ends()
        for number in range(3):
            alices, bobs = self.keys(number)
            alice.sent(b"names")
            bob.received(b"names")
            bobs.confirm(alice.open(alices))
            alice.confirm(bob.open(bobs))
            bob.sent(b"detections")
            alice.received(b"detections")
            assert 0 < alice.forgery_probability() == bob.forgery_probability() < 1e-29
            bob.verify(alice.seal())
            alice.verify(bob.seal())

    def test_no_tag_before_the_far_end_has_set_the_key_aside(self) -> None:
        alice, _ = self.ends()
        alices, bobs = self.keys()
        with pytest.raises(LinkError, match="set the authentication key aside"):
            alice.seal()
        alice.open(alices)
        with pytest.raises(LinkError, match="set the authentication key aside"):
            alice.seal()
        with pytest.raises(PeerError, match="did not prove"):
            alice.confirm(bytes(16))
        with pytest.raises(LinkError, match="set the authentication key aside"):
            alice.seal()
        alice.confirm(bobs.receipt.reveal())
        assert len(alice.seal()) == 16

    def test_the_own_receipt_reflected_confirms_nothing(self) -> None:
        alice, _ = self.ends()
        receipt = alice.open(self.keys()[0])
        with pytest.raises(PeerError, match="did not prove"):
            alice.confirm(receipt)

    def test_a_tag_reflected_is_refused(self) -> None:
        alice, _ = self.ends()
        alices, bobs = self.keys()
        alice.open(alices)
        alice.confirm(bobs.receipt.reveal())
        with pytest.raises(PeerError, match="tampered"):
            alice.verify(alice.seal())

    def test_the_next_stretch_waits_for_both_directions(self) -> None:
        alice, bob = self.ends()
        alices, bobs = self.keys()
        alice.open(alices)
        bobs.confirm(alices.receipt.reveal())
        bob.open(bobs)
        tag = bob.seal()
        bob.sent(b"early, for the next stretch")
        with pytest.raises(LinkError, match="not authenticated yet"):
            bob.open(self.keys(2)[1])
        alice.verify(tag)
        alice.received(b"early, for the next stretch")
        with pytest.raises(LinkError, match="not authenticated yet"):
            alice.open(self.keys(2)[0])
        alice.confirm(bobs.receipt.reveal())
        bob.verify(alice.seal())
        alices, bobs = self.keys(2)
        bobs.confirm(alice.open(alices))
        bob.open(bobs)
        alice.verify(bob.seal())

    def test_receipts_and_tags_out_of_turn_are_the_far_ends_fault(self) -> None:
        alice, _ = self.ends()
        with pytest.raises(PeerError, match="nobody asked for"):
            alice.confirm(bytes(16))
        with pytest.raises(PeerError, match="nobody asked for"):
            alice.verify(bytes(16))
