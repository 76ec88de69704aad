import pickle
import random

import msgspec
import pytest

from keyhop.core.errors import LinkError, PeerError
from keyhop.core.keys import KeyMaterial
from keyhop.link.bb84.authentication.enrolment import ENTRY_BYTES, IDENTIFIER_BYTES, MAX_ENTRIES, Enrolment
from keyhop.link.bb84.authentication.tag_keys import (
    MAX_NAMES,
    MAX_NAMES_PER_ROUND,
    MAX_SEQUENCE,
    MIN_NAMES_PER_ROUND,
    NAME_BYTES,
    PROOF_BYTES,
    RECEIPT_BYTES,
    TagKey,
    TagKeys,
)
from keyhop.link.registry import memory_of_old_copy


def material(entries: int, seed: int = 0) -> KeyMaterial:
    return KeyMaterial(random.Random(seed).randbytes(entries * ENTRY_BYTES))


def enrolment(seed: int, entries: int = 64) -> Enrolment:
    return Enrolment(random.Random(-1 - seed).randbytes(IDENTIFIER_BYTES), material(entries, seed))


def pool_of(entries: int, sequence: int = 5) -> TagKeys:
    pool = TagKeys("transmitter")
    pool.add(sequence, material(entries))
    return pool


def test_a_round_becomes_named_keys_oldest_first() -> None:
    pool = pool_of(2)
    pool.add(9, material(1, seed=9))
    assert pool.names() == tuple(n.to_bytes(8) + i.to_bytes(4) for n, i in ((5, 0), (5, 1), (9, 0)))
    key = pool.take(pool.next_name())
    assert key.name == pool_of(1).names()[0]
    assert key.sending.reveal() == material(2).reveal()[:32]
    assert pool.next_name() == (5).to_bytes(8) + (1).to_bytes(4)


def test_a_key_is_there_once() -> None:
    pool = pool_of(2)
    name = pool.next_name()
    pool.take(name)
    with pytest.raises(LinkError, match=name.hex()):
        pool.take(name)
    assert name not in pool.names()
    again = TagKeys.from_bytes(pool.to_bytes(), "transmitter")
    again.agree_on([name, *pool.names()])
    with pytest.raises(LinkError, match="no authentication key"):
        again.take(name)


def test_with_no_key_left_it_says_so() -> None:
    with pytest.raises(LinkError, match="authentication keys exhausted: enrol the link again"):
        TagKeys("transmitter").next_name()


def test_a_wrong_receipt_takes_no_key_and_the_right_one_confirms_it() -> None:
    transmitter, receiver = TagKeys("transmitter"), TagKeys("receiver")
    for pool in (transmitter, receiver):
        pool.add(5, material(2))
    name = transmitter.next_name()
    receipt = receiver.take(name).receipt.reveal()
    before = transmitter.to_bytes()
    for wrong in (b"", bytes(RECEIPT_BYTES), receipt[:-1], transmitter_receipt(name)):
        with pytest.raises(PeerError, match="did not prove"):
            transmitter.take(name, wrong)
    assert transmitter.to_bytes() == before
    assert transmitter.next_name() == name
    assert transmitter.take(name, receipt).confirmed
    assert name not in transmitter.names()


def transmitter_receipt(name: bytes) -> bytes:
    return pool_of(2).take(name).receipt.reveal()


def test_both_ends_know_the_proof_and_it_is_nothing_else_of_the_key() -> None:
    entry = KeyMaterial(bytes(range(ENTRY_BYTES)))
    ends = TagKey(bytes(NAME_BYTES), entry, "transmitter"), TagKey(bytes(NAME_BYTES), entry, "receiver")
    assert ends[0].proof.reveal() == ends[1].proof.reveal() == entry.reveal()[-PROOF_BYTES:]
    ends[0].conclude(ends[1].proof.reveal())
    parts = [part.reveal() for part in (ends[0].sending, ends[0].receipt, ends[0].receiving, ends[1].receipt)]
    assert b"".join([*parts, ends[0].proof.reveal()]) == entry.reveal()
    for wrong in (b"", bytes(PROOF_BYTES), ends[1].receipt.reveal(), ends[0].receipt.reveal()):
        with pytest.raises(PeerError, match="did not prove"):
            ends[0].conclude(wrong)


def test_nothing_is_taken_before_the_names_are_compared() -> None:
    pool = TagKeys.from_bytes(pool_of(3).to_bytes(), "transmitter")
    first, second, third = pool.names()
    for attempt in (pool.next_name, lambda: pool.take(first)):
        with pytest.raises(LinkError):
            attempt()
    pool.agree_on([third, second, bytes(NAME_BYTES)])
    assert pool.next_name() == second
    with pytest.raises(LinkError):
        pool.take(first)
    with pytest.raises(LinkError):
        pool.take(bytes(NAME_BYTES))


def test_a_list_of_names_takes_nothing_away_until_it_is_known_to_be_true() -> None:
    pool = pool_of(3)
    names = pool.names()
    pool.agree_on([])
    with pytest.raises(LinkError, match="no authentication keys in common: enrol the link again"):
        pool.next_name()
    assert pool.names() == names
    pool.agree_on(names[1:])
    pool.forget_the_rest()
    assert pool.names() == names[1:]
    pool.agree_on(names)
    assert pool.next_name() == names[1]


@pytest.mark.parametrize(
    "names",
    [
        [i.to_bytes(NAME_BYTES) for i in range(MAX_NAMES + 1)],
        [bytes(NAME_BYTES - 1)],
        [bytes(NAME_BYTES + 1)],
        [b""],
        [bytes(NAME_BYTES), bytes(NAME_BYTES)],
    ],
    ids=["too many", "short", "long", "empty", "twice"],
)
def test_a_list_of_names_that_cannot_be_is_refused(names: list[bytes]) -> None:
    pool = pool_of(2)
    with pytest.raises(PeerError):
        pool.agree_on(names)
    assert pool.next_name() == pool.names()[0], "and changes nothing"


def test_a_hostile_name_is_not_echoed_at_length() -> None:
    with pytest.raises(LinkError) as refused:
        pool_of(1).take(bytes(10_000))
    assert len(refused.value.message) < 100


def test_it_wants_what_is_missing_and_always_a_little() -> None:
    assert TagKeys("receiver").wanted_bytes() == 64 * ENTRY_BYTES
    assert TagKeys("receiver", target_names=10_000).wanted_bytes() == MAX_NAMES_PER_ROUND * ENTRY_BYTES
    assert pool_of(60).wanted_bytes() == 4 * ENTRY_BYTES
    assert pool_of(64).wanted_bytes() == pool_of(500).wanted_bytes() == MIN_NAMES_PER_ROUND * ENTRY_BYTES
    pool = pool_of(60)
    pool.agree_on(pool.names()[:10])
    assert pool.wanted_bytes() == 54 * ENTRY_BYTES
    pool = pool_of(512)
    pool.add(6, material(511, seed=6))
    assert pool.wanted_bytes() == ENTRY_BYTES
    pool.add(7, material(1, seed=7))
    assert pool.wanted_bytes() == 0


def test_there_are_never_more_than_a_fixed_number_and_the_oldest_go() -> None:
    pool = pool_of(512)
    for sequence in range(6, 10):
        pool.add(sequence, material(512, seed=sequence))
        assert len(pool.names()) <= MAX_NAMES
    assert pool.names()[0][:8] == (8).to_bytes(8)
    assert pool.next_name() == pool.names()[0]
    assert TagKeys.from_bytes(pool.to_bytes(), "transmitter").names() == pool.names()


@pytest.mark.parametrize("sequence", [-1, 4, 5, MAX_SEQUENCE + 1])
def test_a_round_must_follow_the_last(sequence: int) -> None:
    pool = pool_of(2)
    with pytest.raises(LinkError, match="cannot follow round 5"):
        pool.add(sequence, material(2))
    assert pool.last_sequence == 5


def test_a_round_may_give_nothing_but_is_remembered() -> None:
    pool = pool_of(2)
    pool.add(6, KeyMaterial(b""))
    assert (pool.last_sequence, len(pool.names())) == (6, 2)


@pytest.mark.parametrize("size", [1, ENTRY_BYTES - 1, ENTRY_BYTES + 1, (MAX_NAMES_PER_ROUND + 1) * ENTRY_BYTES])
def test_bytes_that_are_no_keys_are_refused(size: int) -> None:
    pool = pool_of(2)
    with pytest.raises(LinkError, match="cannot be cut"):
        pool.add(6, KeyMaterial(bytes(size)))
    assert (pool.last_sequence, len(pool.names())) == (5, 2)


class TestEnrolment:
    def test_both_ends_get_the_same_names_that_no_round_has(self) -> None:
        ends = TagKeys("transmitter"), TagKeys("receiver")
        for end in ends:
            assert end.enrol(enrolment(1))
            end.add(0, material(1, seed=7))
        assert ends[0].names() == ends[1].names()
        assert len(set(ends[0].names())) == 65
        assert all(name[0] & 0x80 for name in ends[0].names()[:64])
        assert ends[0].last_sequence == 0

    def test_keys_of_an_enrolment_wait_for_the_comparison(self) -> None:
        pool = TagKeys("transmitter")
        pool.enrol(enrolment(1))
        with pytest.raises(LinkError, match="in common"):
            pool.next_name()
        pool.agree_on(pool.names())
        assert pool.take(pool.next_name()).sending.reveal() == material(64, seed=1).reveal()[:32]

    def test_it_is_taken_in_once_ever(self) -> None:
        pool = TagKeys("transmitter")
        assert pool.enrol(enrolment(1))
        assert pool.enrol(enrolment(2))
        pool = TagKeys.from_bytes(pool.to_bytes(), "transmitter")
        before = pool.names()
        assert not pool.enrol(enrolment(1))
        assert not pool.enrol(enrolment(2, entries=65)), "another length of the same file holds the same keys"
        assert pool.names() == before

    def test_a_new_one_takes_the_place_of_the_old_and_leaves_the_keys_of_rounds(self) -> None:
        pool = pool_of(3)
        of_round = pool.names()
        pool.enrol(enrolment(1, MAX_ENTRIES))
        old = set(pool.names()) - set(of_round)
        pool.agree_on(pool.names())
        pool.enrol(enrolment(2, MAX_ENTRIES))
        assert not old & set(pool.names())
        assert len(pool.names()) == 3 + MAX_ENTRIES
        assert pool.next_name() == of_round[0]
        with pytest.raises(LinkError):
            pool.take(old.pop())

    def test_there_is_an_end_to_it(self) -> None:
        pool = TagKeys("transmitter")
        for i in range(256):
            pool.enrol(enrolment(i, entries=1))
        with pytest.raises(LinkError, match="256 times only"):
            pool.enrol(enrolment(256))
        assert TagKeys.from_bytes(pool.to_bytes(), "transmitter").names() == pool.names()


class TestSaved:
    def state(self) -> list[object]:
        pool = pool_of(3)
        pool.enrol(enrolment(1, entries=2))
        state: list[object] = msgspec.msgpack.decode(pool.to_bytes())
        return state

    def test_everything_is_found_again(self) -> None:
        pool = pool_of(3)
        pool.enrol(enrolment(1))
        again = TagKeys.from_bytes(pool.to_bytes(), "transmitter")
        assert again.to_bytes() == pool.to_bytes()
        assert (again.names(), again.last_sequence) == (pool.names(), 5)
        assert again.wanted_bytes() == 64 * ENTRY_BYTES
        for end in (pool, again):
            end.agree_on(pool.names())
        name = pool.next_name()
        assert again.take(name).sending == pool.take(name).sending

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            (0, 0),
            (0, 1),
            (0, 3),
            (0, "1"),
            (1, -2),
            (1, 1 << 63),
            (1, 1.0),
            (2, [b"short"]),
            (2, [bytes(IDENTIFIER_BYTES)] * 2),
            (2, [i.to_bytes(IDENTIFIER_BYTES) for i in range(257)]),
            (3, b""),
            (3, bytes(NAME_BYTES * 5)),
            (3, bytes(NAME_BYTES * 5 + 1)),
            (3, b"".join(i.to_bytes(NAME_BYTES) for i in range(MAX_NAMES + 1))),
            (4, b""),
            (4, bytes(ENTRY_BYTES * 5 - 1)),
            (4, bytes(ENTRY_BYTES * 6)),
            (4, None),
        ],
    )
    def test_what_is_no_pool_is_refused(self, field: int, value: object) -> None:
        state = self.state()
        TagKeys.from_bytes(msgspec.msgpack.encode(state), "receiver")
        state[field] = value
        with pytest.raises(LinkError, match="cannot be read") as refused:
            TagKeys.from_bytes(msgspec.msgpack.encode(state), "receiver")
        assert refused.value.hint == "enrol the link again, with a new file"

    def test_bytes_missing_or_left_over_are_refused(self) -> None:
        saved = msgspec.msgpack.encode(self.state())
        for broken in (b"", saved[:-1], saved + b"\0", msgspec.msgpack.encode([*self.state(), 1]), b"\xc1"):
            with pytest.raises(LinkError, match="cannot be read"):
                TagKeys.from_bytes(broken, "receiver")


def test_key_bytes_are_not_shown() -> None:
    pool = pool_of(2)
    key = pool.take(pool.next_name())
    shown = f"{pool!r} {key!r} {key.sending!r} {key.receiving!r} {key.receipt!r} {key.proof!r}"
    assert shown.startswith("<1 tag keys, 1 of them agreed upon> <tag key 000000000000000500000000>")
    secret = material(2).reveal()
    assert not any(secret[i : i + 4].hex() in shown or repr(secret[i : i + 4]) in shown for i in range(len(secret) - 4))
    for thing in (pool, key):
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def test_an_old_copy_keeps_no_key_and_takes_no_enrolment_again() -> None:
    pool = pool_of(3)
    assert pool.enrol(enrolment(1))
    emptied = TagKeys.from_bytes(memory_of_old_copy("bb84", pool.to_bytes()), "transmitter")
    assert emptied.names() == ()
    assert emptied.last_sequence == pool.last_sequence
    assert not emptied.enrol(enrolment(1))


def test_what_is_no_pool_is_left_to_the_adapter() -> None:
    assert memory_of_old_copy("bb84", b"no pool") == b"no pool"


def test_other_links_keep_their_sequence() -> None:
    assert memory_of_old_copy("etsi014", b"12345678") == b"12345678"
