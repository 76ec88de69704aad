"""Somebody on the classical channel alters, makes up and repeats messages: what he gets, and what it costs."""

import re
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from keyhop.link.adapter import Disturbance, Eavesdropper
from keyhop.link.bb84.optics.photons_kernels import Candidates, Detected
from keyhop.link.bb84.protocol import engine, round_rules
from keyhop.link.bb84.protocol.lost_keys import ENOUGH_FOR_ALARM, LONGEST_PAUSE_S, LostKeys
from keyhop.link.bb84.protocol.messages import (
    Alive,
    Announcement,
    Answer,
    Body,
    Bye,
    Done,
    Hello,
    Open,
    Piece,
    decode,
    decode_body,
    encode,
)
from keyhop.link.bb84.reconciliation.cascade_plan import plan
from keyhop.link.bb84.reconciliation.cascade_search import begin
from keyhop.link.bb84.sifting import payloads
from keyhop.link.bb84.sifting.rounds import ByBasis, SiftedRound
from keyhop.testing.bb84_link import ENTRIES, EngineEnd, EnginePair, options


def body_of(message: bytes) -> Body | None:
    piece = decode(message)
    return decode_body(piece.data) if isinstance(piece, Piece) and not piece.more else None


def with_body(message: bytes, body: Body) -> bytes:
    return encode(msgspec.structs.replace(decode(message), data=encode(body)))


def say(end: EngineEnd, body: Body) -> None:
    """As if the far end had said that next."""
    session = end.engine._session
    assert session is not None
    end.do(end.engine.received(encode(Piece(session.run.id, session.run.heard, False, encode(body)))))


def talks(end: EngineEnd) -> bool:
    return end.engine.view.run is not None


def keys(end: EngineEnd) -> int:
    return len(end.parts.pool.names())


def until_key_in_use(pair: EnginePair) -> None:
    """Stops in the middle of a round, when both ends have set a key aside."""
    for _ in range(10_000):
        waiting = [end for end in pair.ends if end.inbox]
        for end in waiting:
            end.take()
            sessions = [each.engine._session for each in pair.ends]
            if all(session is not None and session.run.confirmed for session in sessions):
                return
        if not waiting:
            for end in pair.ends:
                end.time.stall(0.05)
                end.tick()
            pair.receiver.look(50_000)
    raise AssertionError("no round comes")


@pytest.mark.parametrize("method", ["cascade", "ldpc"])
def test_what_the_receiver_heard_altered_gives_a_key_to_neither_end(method: str) -> None:
    """Intensities of the transmitter's answers: the receiver's counts, honestly tagged, would be false."""
    pair = EnginePair(options(block_bits=20_000, method=method))
    announced: list[payloads.Announcement] = []
    altered = 0

    def overhear(message: bytes) -> list[bytes]:
        body = body_of(message)
        if isinstance(body, Announcement):
            announced.append(payloads.decode_announcement(body.data, 0))
        return [message]

    def alter(message: bytes) -> list[bytes]:
        nonlocal altered
        body = body_of(message)
        if not isinstance(body, Answer):
            return [message]
        answer = payloads.decode_answer(body.data, announced.pop(0).bases, 2)
        intensities = answer.intensities.copy()
        intensities[::50] = 0
        altered += 1
        other = payloads.Answer(answer.matching, intensities, answer.x_bits)
        return [with_body(message, Answer(payloads.encode_answer(other, 2)))]

    pair.transmitter.fate, pair.receiver.fate = overhear, alter
    while "tag is wrong" not in pair.receiver.reason:
        assert pair.receiver.time.monotonic() < 30
        pair.step()
    assert altered
    assert pair.transmitter.blocks == pair.receiver.blocks == []
    assert keys(pair.transmitter) == ENTRIES - 1, "and nothing of the round became authentication keys"


@pytest.mark.parametrize("how", ["lost", "wrong"])
def test_without_the_receivers_proof_the_transmitter_delivers_nothing(how: str) -> None:
    pair = EnginePair(options(block_bits=20_000))
    proofs: list[bytes] = []

    def keep(message: bytes) -> list[bytes]:
        body = body_of(message)
        if not isinstance(body, Done) or proofs:
            return [message]
        proofs.append(body.proof)
        assert pair.transmitter.blocks == []
        return [] if how == "lost" else [with_body(message, Done(body.round, bytes(16)))]

    pair.transmitter.fate = keep
    while not proofs:
        pair.step()
    assert pair.receiver.blocks
    assert pair.transmitter.blocks == []
    if how == "wrong":
        assert "did not prove" in pair.transmitter.reason
        assert [event.alarm for event in pair.transmitter.events] == [True]
    pair.generate(8.0)
    lost = {block.sequence for block in pair.receiver.blocks} - {block.sequence for block in pair.transmitter.blocks}
    assert lost == {0}
    assert pair.shared() > 0
    assert pair.transmitter.parts.pool.names() == pair.receiver.parts.pool.names()


def test_a_proof_that_is_not_due_ends_the_run() -> None:
    for right in (False, True):
        pair = EnginePair(options(block_bits=20_000))
        until_key_in_use(pair)
        session = pair.transmitter.engine._session
        assert session is not None
        assert session.run.key is not None
        proof = session.run.key.proof.reveal() if right else bytes(16)
        say(pair.transmitter, Done(0, proof))
        assert "not concluded" in pair.transmitter.reason
        assert pair.transmitter.blocks == []


def inject(pair: EnginePair, kind: str) -> None:
    """Ends the receiver's run with a message that anybody can make."""
    near = pair.receiver.engine._greeting.near
    session = pair.receiver.engine._session
    if kind == "hello":
        pair.receiver.inbox.append(
            encode(Hello(pair.receiver.entropy.token(16), b"", "transmitter", near.settings, near.names, -1))
        )
    elif session is not None:
        pair.receiver.inbox.append(encode(Bye(session.run.far.nonce)))


@pytest.mark.parametrize("kind", ["hello", "bye"])
def test_whoever_ends_every_conversation_costs_few_keys_and_is_told(kind: str) -> None:
    pair = EnginePair(options(block_bits=10_000))

    def attack(message: bytes) -> list[bytes]:
        if isinstance(body_of(message), Open):
            inject(pair, kind)
        return [message]

    pair.transmitter.fate = attack
    pair.generate(100.0, step_s=0.1)
    assert ENTRIES - 10 <= keys(pair.receiver) <= ENTRIES - 7  # 0.2 + 0.4 + ... + 51.2 s
    assert keys(pair.transmitter) >= ENTRIES - 10
    for end in pair.ends:
        assert end.state == "stopped"
        assert "interfering with the classical channel" in end.reason
        assert [event.alarm for event in end.events] == [True]
    del pair.transmitter.fate
    pair.generate(60.0, step_s=0.1)
    assert pair.shared() > 0
    assert all(end.state == "generating" for end in pair.ends)


def test_whoever_swallows_every_last_word_costs_few_keys_and_is_told() -> None:
    """The receiver has its round and suspects nothing; the transmitter does."""
    pair = EnginePair(options(block_bits=10_000))
    pair.transmitter.fate = lambda message: [] if isinstance(body_of(message), Done) else [message]
    pair.generate(100.0, step_s=0.1)
    assert pair.transmitter.blocks == []
    assert keys(pair.transmitter) >= ENTRIES - 10
    assert "interfering with the classical channel" in pair.transmitter.reason
    assert [event.alarm for event in pair.transmitter.events] == [True]


def test_keys_lost_in_a_row_make_the_pauses_longer_up_to_minutes_and_a_round_ends_that() -> None:
    lost = LostKeys()
    pauses, told = [], []
    for number in range(2000):
        told.append(lost.lost(float(number)))
        pauses.append(lost.not_before_s - number)
    assert pauses[:4] == pytest.approx([0.2, 0.4, 0.8, 1.6])
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
    assert [number for number, text in enumerate(told) if text] == [ENOUGH_FOR_ALARM - 1]
    lost.none_lost()
    assert lost.not_before_s < 0
    lost.lost(0.0)
    assert lost.not_before_s == pytest.approx(0.2)


@pytest.mark.parametrize("role", ["transmitter", "receiver"])
def test_a_node_that_is_restarted_in_the_middle_of_rounds_is_back_at_once(role: str) -> None:
    pair = EnginePair(options(block_bits=10_000))
    end = pair.transmitter if role == "transmitter" else pair.receiver
    for _ in range(ENOUGH_FOR_ALARM - 1):
        until_key_in_use(pair)
        end.revive()
        end.inbox.clear()
    before = len(end.blocks)
    pair.generate(3.0)
    assert len(end.blocks) > before
    assert not any(each.events for each in pair.ends)


def test_a_key_is_asked_for_only_when_a_round_waits_for_it() -> None:
    pair = EnginePair(options(block_bits=1_000_000))
    pair.generate(6.0)
    assert pair.receiver.state == "generating"
    assert keys(pair.receiver) == keys(pair.transmitter) == ENTRIES


def test_a_repeated_message_keeps_no_run_alive() -> None:
    pair = EnginePair(options(block_bits=20_000))
    transmitter = pair.transmitter
    seen: list[bytes] = []

    def keep(message: bytes) -> list[bytes]:
        seen.append(message)
        return [message]

    transmitter.fate = keep
    pair.generate(0.5)
    run = transmitter.engine.view.run
    old = next(message for message in seen if isinstance(decode(message), Piece))
    transmitter.fate = lambda message: []
    for _ in range(20):
        transmitter.time.stall(1.0)
        transmitter.tick()
        transmitter.inbox.append(old)
        transmitter.take()
    assert run is not None
    assert transmitter.engine.view.run is None
    assert transmitter.reason == "the far end does not answer"


@pytest.mark.parametrize("role", ["transmitter", "receiver"])
def test_made_up_messages_keep_no_key_in_use_for_long(role: str) -> None:
    pair = EnginePair(options(block_bits=20_000))
    until_key_in_use(pair)
    end = pair.transmitter if role == "transmitter" else pair.receiver
    end.far.fate = lambda message: []
    for _ in range(round(engine.LONGEST_STRETCH_S) - 10):
        end.time.stall(1.0)
        end.tick()
        say(end, Alive())
    assert talks(end)
    for _ in range(20):
        end.time.stall(1.0)
        end.tick()
        if talks(end):
            say(end, Alive())
    assert not talks(end)
    assert "nothing was authenticated for long" in end.reason


def test_rounds_that_yield_nothing_cost_a_key_now_and_then_and_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LONGEST_STRETCH_S", -4.0)
    pair = EnginePair(options(block_bits=2_000))
    reasons = set()
    for _ in range(160):
        pair.step()
        reasons.add(pair.receiver.reason)
    assert ENTRIES - 7 <= keys(pair.receiver) <= ENTRIES - 5
    assert len(reasons) <= 3  # "looking at the light", none, and that the round yields nothing
    assert all(end.state == "stopped" and not end.events for end in pair.ends)


def test_a_wrong_receipt_costs_the_transmitter_no_key() -> None:
    pair = EnginePair(options(block_bits=20_000))

    def forge(message: bytes) -> list[bytes]:
        body = body_of(message)
        return [with_body(message, Open(body.name, bytes(16)))] if isinstance(body, Open) else [message]

    pair.transmitter.fate = forge
    while "did not prove" not in pair.transmitter.reason:
        assert pair.receiver.time.monotonic() < 30
        pair.step()
    assert keys(pair.transmitter) == ENTRIES
    assert [event.alarm for event in pair.transmitter.events] == [True]


@pytest.mark.parametrize(("ahead_s", "refused"), [(-0.1, False), (0.9, False), (1.2, True), (1e9, True)])
def test_the_transmitter_tells_nothing_of_pulses_that_it_has_not_sent(ahead_s: float, refused: bool) -> None:
    pair = EnginePair(options(block_bits=2_000_000))
    pair.generate(1.0)
    transmitter = pair.transmitter
    session = transmitter.engine._session
    assert session is not None
    now_slot = round((transmitter.time.monotonic() - session._began_s) * 1e6)  # type: ignore[union-attr]
    slot = now_slot + round(ahead_s * 1e6)
    _, payload = payloads.encode_announcement(
        np.array([slot - 1, slot], np.int64), np.ones(2, np.uint8), np.zeros(2, np.uint8), 0
    )
    told: list[Body | None] = []
    pair.receiver.fate = lambda message: told.append(body_of(message)) or []  # type: ignore[func-returns-value]
    say(transmitter, Announcement(payload, "middle"))
    assert any(isinstance(body, Answer) for body in told) is not refused
    assert ("not sent yet" in transmitter.reason) is refused


def test_greetings_of_many_kinds_change_the_state_once_a_second() -> None:
    end = EnginePair(options()).transmitter
    reasons = []
    for number in range(300):
        end.time.stall(0.01)
        settings = msgspec.json.encode({f"setting {number}": number}).decode()
        role = "receiver" if number % 2 else "transmitter"
        near = end.engine._greeting.near.settings
        hello = Hello(bytes(16), b"", role, settings if number % 2 else near, (), -1)
        end.do(end.engine.received(encode(hello)))
        reasons.append(end.reason)
    changes = sum(earlier != later for earlier, later in pairwise(reasons))
    assert changes <= 3
    assert reasons[0] == "both ends have the role of the transmitter"


def test_an_error_rate_over_the_limit_is_told_as_it_became_not_as_it_was_at_the_limit() -> None:
    pair = EnginePair(options(block_bits=20_000))
    pair.generate(3.0)
    assert pair.receiver.receiver is not None
    pair.receiver.receiver.disturb(Disturbance(eavesdropper=Eavesdropper("intercept-resend")))
    pair.generate(3.0)
    for end in pair.ends:
        found = re.fullmatch(r"QBER about (\d+)% in the test basis is over the limit of 8.0%", end.reason)
        assert found is not None
        assert 20 <= int(found[1]) <= 32
        assert end.engine.view.qber == pytest.approx(int(found[1]) / 100, abs=0.0051)
    told = set()
    for _ in range(100):
        pair.step()
        told.add(pair.receiver.reason)
    assert len(told) <= 3  # each is logged


def test_errors_are_public_with_every_method() -> None:
    """Counts, frames and double clicks tell of the receiver's errors, and are not charged."""
    sifted = SiftedRound(
        number=0,
        bits=np.zeros(1_000_000, np.uint8),
        intensities=np.zeros(1_000_000, np.uint8),
        n_z=(450_000, 550_000),
        n_x=(600_000, 400_000),
        m_x=(6_000, 4_000),
        detections=ByBasis(1_000_000, 1_000_000, 1_000_000, 1_000_000),
        doubles=None,
        first_slot=0,
        end_slot=100_000_000,
    )
    lengths = []
    for method in ("cascade", "ldpc"):
        made = options(method=method)
        counted = round_rules.counts(sifted, (4_500, 5_500))
        lengths.append(round_rules.judge(sifted, counted, (0, 0, 0, 0), 100_000, made).length)
    assert lengths[0] == lengths[1]
    assert lengths[0].vacuum_bits > 0


def test_what_holds_bits_does_not_show_them() -> None:
    secret = np.full(4, 77, np.uint8)
    slots = np.arange(4)
    shown = [
        repr(Candidates(slots, secret, secret, secret)),
        repr(Detected(slots, secret, secret, secret.astype(np.bool_))),
        repr(begin(np.ones(2_000, np.uint8), plan(2_000, 0.02, bytes(16)))),
    ]
    assert shown == ["<4 candidates>", "<room for 4 detections>", "<search in 1 frames>"]
