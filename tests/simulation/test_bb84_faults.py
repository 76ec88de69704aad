"""Hundreds of seeded schedules of faults on a BB84 link; and bugs planted to see that they would be found."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from keyhop.link.bb84.authentication.tag_keys import TagKey, TagKeys
from keyhop.link.bb84.authentication.transcripts import Authentication, Transcript
from keyhop.link.bb84.protocol import session
from keyhop.link.bb84.protocol.engine import Engine
from keyhop.link.bb84.protocol.messages import Body, Done, Final, Tag
from keyhop.link.bb84.protocol.receiver import ReceiverSession
from keyhop.link.bb84.protocol.round_rules import Outcome
from keyhop.link.bb84.protocol.session import Session
from keyhop.link.bb84.protocol.transmitter import TransmitterSession
from keyhop.link.bb84.protocol.transmitter_round import TransmitterRound
from keyhop.testing.bb84_faults import FAULTS, Broken, Fault, TagSpy, wander

SCHEDULES = 128
GROUPS = 4
WALKS = 60

type Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def one_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """For every round the same LDPC code: to make one takes tenths of a second."""
    monkeypatch.setattr(session, "starting_qber", lambda sifted, known: 0.013)


def spy(patch: pytest.MonkeyPatch) -> TagSpy:
    made = TagSpy()
    patch.setattr(Authentication, "seal", lambda self: made.seal(self))
    return made


@pytest.mark.parametrize("group", range(GROUPS))
def test_whatever_happens_blocks_agree_and_the_link_recovers(group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = spy(monkeypatch)
    faults: Counter[str] = Counter()
    delivered = 0
    for seed in range(group * SCHEDULES // GROUPS, (group + 1) * SCHEDULES // GROUPS):
        walk = wander(seed)
        assert walk.shared_bytes > 0
        faults += walk.faults
        delivered += walk.blocks
    # The schedules reach what they are there for.
    assert min(faults[kind] for kind in ("killed", "power", "cut", "lost", "repeated", "altered", "overtaken")) >= 5
    assert delivered >= 3 * SCHEDULES // GROUPS
    assert sum(tags.made.values()) >= delivered // 2


@pytest.mark.parametrize("fault", FAULTS)
def test_much_of_one_fault(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    spy(monkeypatch)
    walks = [wander(1000 + seed, only=fault) for seed in range(8)]
    assert sum(walk.faults[fault] for walk in walks) >= 8
    assert sum(walk.blocks for walk in walks) > 16


def tags_are_not_verified(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Transcript, "verify", lambda self, tag: self._close() and None)


def a_key_stays_in_the_pool(patch: pytest.MonkeyPatch) -> None:
    take = TagKeys.take

    def kept(self: TagKeys, name: bytes, receipt: bytes | None = None) -> TagKey:
        entry = self._entries[name]
        key = take(self, name, receipt)
        self._entries = {name: entry, **self._entries}
        self._agreed.add(name)
        return key

    patch.setattr(TagKeys, "take", kept)


def keys_are_used_before_the_pool_is_saved(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Session, "set_aside", lambda self, name, receipt=None: self._pool.take(name, receipt))
    patch.setattr(Session, "close_stretch", lambda self: self.run.close())


def blocks_leave_before_the_tag(patch: pytest.MonkeyPatch) -> None:
    in_round = ReceiverSession._in_round

    def hasty(self: ReceiverSession, body: Body) -> None:
        round_ = self._round
        in_round(self, body)
        if isinstance(body, Final) and body.key_bits and round_ is not None:
            self.finish(round_.conclude(self.next_sequence()))

    def late(self: ReceiverSession, tag: Tag) -> None:
        self.run.verify(tag)
        key, round_ = self.run.key, self._round
        assert key is not None
        assert round_ is not None
        self.close_stretch()
        self._round = None
        self.say(Done(round_.number, key.proof.reveal()))

    patch.setattr(ReceiverSession, "_in_round", hasty)
    patch.setattr(ReceiverSession, "_believe", late)


def the_transmitter_does_not_wait_for_the_proof(patch: pytest.MonkeyPatch) -> None:
    hold = TransmitterSession._hold

    def hasty(self: TransmitterSession, round_: TransmitterRound, final: Final, outcome: Outcome) -> None:
        hold(self, round_, final, outcome)
        assert self._held is not None
        self.finish(self._held)

    def late(self: TransmitterSession, done: Done) -> None:
        self._held = self._awaits_proof = None
        self.sealed_rounds += 1

    patch.setattr(TransmitterSession, "_hold", hasty)
    patch.setattr(TransmitterSession, "_done", late)


def the_last_sequence_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    to_bytes = TagKeys.to_bytes

    def forgetful(self: TagKeys) -> bytes:
        last, self.last_sequence = self.last_sequence, -1
        try:
            return to_bytes(self)
        finally:
            self.last_sequence = last

    patch.setattr(TagKeys, "to_bytes", forgetful)


def an_end_that_failed_greets_no_more(patch: pytest.MonkeyPatch) -> None:
    greet = Engine._greet
    patch.setattr(Engine, "_greet", lambda self, from_s: greet(self, from_s + (1e9 if self._failures else 0.0)))


def a_round_leaves_other_bytes_at_the_receiver(patch: pytest.MonkeyPatch) -> None:
    finish = Session.finish

    def careless(self: Session, outcome: Any) -> None:
        if isinstance(self, ReceiverSession) and outcome.key:
            key = bytearray(outcome.key)
            key[-9] ^= 1
            object.__setattr__(outcome, "key", bytes(key))
        finish(self, outcome)

    patch.setattr(Session, "finish", careless)


@pytest.mark.parametrize(
    ("plant", "fault", "found"),
    [
        (tags_are_not_verified, "altered", "altered message"),
        (blocks_leave_before_the_tag, "altered", "altered message"),
        (the_transmitter_does_not_wait_for_the_proof, "lost", "which the receiver has not confirmed"),
        (a_key_stays_in_the_pool, None, "one key makes two tags"),
        (keys_are_used_before_the_pool_is_saved, "power", "one key makes two tags"),
        (the_last_sequence_is_forgotten, "power", "emits sequence"),
        (an_end_that_failed_greets_no_more, "lost", "does not recover"),
        (a_round_leaves_other_bytes_at_the_receiver, None, "differs between the two ends"),
    ],
)
def test_a_planted_bug_is_found(plant: Plant, fault: Fault | None, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spy(monkeypatch)
    plant(monkeypatch)
    with pytest.raises(Broken, match=found):
        _walks(fault)


def _walks(fault: Fault | None) -> None:
    for seed in range(WALKS):
        wander(seed, only=fault)
