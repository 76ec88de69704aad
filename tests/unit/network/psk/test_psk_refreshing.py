"""When a key is refreshed, and what each end does when something is missing."""

import random

import pytest

from keyhop.core.errors import PeerError
from keyhop.core.ids import SaeId
from keyhop.core.key_id import Located
from keyhop.core.streams import Place
from keyhop.network import wire
from keyhop.network.psk.messages import InStream, PskProposed, PskRefused, PskStored
from keyhop.network.psk.refreshing import RESEND_S, RETRY_S
from keyhop.testing.network import VirtualNetwork
from keyhop.testing.psk import ALICE, BOB, INTERVAL_S, PskEnds


@pytest.fixture
def ends() -> PskEnds:
    made = PskEnds()
    made.produce(random.Random(1).randbytes(4096))
    made.connect()
    made.settle()
    return made


def proposed_by(ends: PskEnds) -> tuple[PskProposed, InStream]:
    """What alice proposes after a moment; it does not arrive."""
    ends.clock.advance(0.1)
    ends.alice.tick()
    ends.flush()
    (proposed,) = [body for body in ends.alice.sent if isinstance(body, PskProposed)]
    assert proposed.place is not None
    return proposed, proposed.place


def current(ends: PskEnds) -> tuple[int, int]:
    return ends.alice.generations.current, ends.bob.generations.current


def reconnect(ends: PskEnds) -> None:
    ends.disconnect()
    ends.connect()
    ends.settle()


def test_the_operators_key_is_replaced_at_once_and_later_ones_at_their_time(ends: PskEnds) -> None:
    ends.pass_time(0.1)
    assert current(ends) == (1, 1)
    reconnect(ends)
    ends.pass_time(INTERVAL_S - 1)
    assert current(ends) == (1, 1)
    ends.pass_time(1)
    assert current(ends) == (2, 2)


def test_the_bytes_are_taken_from_both_ends_of_the_stream_for_nothing_else(ends: PskEnds) -> None:
    ends.pass_time(0.1)
    for stream in (ends.alice.owned, ends.bob.followed):
        assert stream.ledger.psk == 32
        assert stream.ledger.balances(stream.available_bytes)
    assert ends.bob.owned.ledger.psk == 0


def test_no_further_one_is_made_before_the_connection_has_moved(ends: PskEnds) -> None:
    ends.pass_time(0.1)
    ends.pass_time(10 * INTERVAL_S)
    assert current(ends) == (1, 1)
    reconnect(ends)
    ends.pass_time(0.1)
    assert current(ends) == (2, 2)


def test_without_bytes_it_is_tried_again_when_there_are_some() -> None:
    ends = PskEnds()
    ends.connect()
    ends.settle()
    ends.pass_time(0.1)
    ends.pass_time(RETRY_S)
    ends.alice.fetched[0][2]("there is no way")
    ends.produce(random.Random(1).randbytes(4096))
    assert current(ends) == (0, 0)
    ends.pass_time(RETRY_S)
    ends.pass_time(0.1)
    assert current(ends) == (1, 1)


def test_what_is_not_answered_is_proposed_again(ends: PskEnds) -> None:
    ends.clock.advance(0.1)
    ends.alice.tick()
    ends.flush()
    lost = [body for body in ends.alice.sent if isinstance(body, PskProposed)]
    ends.alice.sent.clear()
    assert len(lost) == 1
    ends.pass_time(RESEND_S)
    assert current(ends) == (1, 1)


def test_an_answer_that_was_lost_is_given_again(ends: PskEnds) -> None:
    ends.clock.advance(0.1)
    ends.alice.tick()
    ends.flush()
    while ends.deliver(ends.alice):
        ends.flush()
    assert any(isinstance(body, PskStored) for body in ends.bob.sent)
    reconnect(ends)
    assert current(ends) == (1, 1)
    assert ends.bob.followed.ledger.psk == 32


def test_bytes_that_the_other_end_has_not_are_refused_and_others_taken(ends: PskEnds) -> None:
    ends.bob.followed.void(1, 0, 1 << 20)
    ends.pass_time(0.1)
    assert current(ends) == (0, 0)
    ends.produce(random.Random(2).randbytes(1 << 16))
    for _ in range(200):  # what alice had before is refused piece by piece
        ends.pass_time(RESEND_S)
        if current(ends) == (1, 1):
            return
    pytest.fail("no bytes that both have were found")


def test_other_bytes_at_the_other_end_make_no_key_and_erase_nothing(ends: PskEnds) -> None:
    proposed, place = proposed_by(ends)
    available = ends.bob.followed.available_bytes
    ends.bob.received(PskProposed(1, b"x" * 16, place))
    ends.bob.received(PskProposed(1, proposed.check, InStream(place.epoch, place.position + 1)))
    ends.flush()
    assert [type(body) for body in ends.bob.sent] == [PskRefused, PskRefused]
    assert ends.bob.followed.available_bytes == available
    assert current(ends) == (0, 0)


def test_an_answer_to_something_else_changes_nothing(ends: PskEnds) -> None:
    _, place = proposed_by(ends)
    ends.alice.received(PskRefused(b"x" * 16))
    ends.alice.received(PskStored(b"x" * 16))
    ends.alice.sent.clear()
    ends.pass_time(RESEND_S)
    assert ends.bob.followed.ledger.psk == 32
    assert not ends.bob.followed.has(Place(place.epoch, Located(place.position, 32)))
    assert current(ends) == (1, 1)


def test_what_was_said_twice_is_answered_after_the_connection_has_moved_as_well(ends: PskEnds) -> None:
    proposed, _ = proposed_by(ends)
    ends.settle()
    generation = ends.handshake()
    for end in ends.both:
        end.generations.used(generation)
    assert generation == proposed.generation
    ends.bob.received(proposed)
    ends.flush()
    assert list(ends.bob.sent) == [PskStored(proposed.check)]


@pytest.mark.parametrize("generation", [0, 2, 1 << 62])
def test_a_generation_out_of_turn_breaks_the_protocol(ends: PskEnds, generation: int) -> None:
    with pytest.raises(PeerError, match="not the next one"):
        ends.bob.received(PskProposed(generation, b"x" * 16, InStream(1, 8)))


def test_a_peer_with_a_certificate_has_nothing_to_refresh() -> None:
    network = VirtualNetwork({SaeId("a"): ALICE, SaeId("b"): BOB})
    network.settle()
    pair = network.kmes[BOB].peers[ALICE].neighbour
    envelope = wire.Envelope(
        "direct", pair.session.peer_number, pair.session.number, PskProposed(1, b"x" * 16, InStream(1, 8))
    )
    with pytest.raises(PeerError, match="unexpected message"):
        pair.received(envelope)


def test_who_follows_proposes_nothing_and_is_believed_nothing(ends: PskEnds) -> None:
    with pytest.raises(PeerError, match="not the next one"):
        ends.alice.received(PskProposed(1, b"x" * 16, InStream(1, 8)))


def test_a_leader_that_was_restored_proposes_another_one_in_the_place_of_the_first(ends: PskEnds) -> None:
    """Its copy is from before the proposal, which the follower has kept, and which nobody has used."""
    copy = dict(ends.alice.store.values)
    ends.clock.advance(0.1)
    ends.alice.tick()
    ends.flush()
    while ends.deliver(ends.alice):
        ends.flush()
    first = ends.bob.generations.secret(1)
    ends.disconnect()
    ends.alice.start(copy)
    ends.produce(random.Random(3).randbytes(4096))
    ends.connect()
    ends.settle()
    ends.pass_time(0.1)
    assert current(ends) == (1, 1)
    assert ends.bob.generations.secret(1) == ends.alice.generations.secret(1) != first


def test_a_leader_that_crashed_before_it_kept_the_answer_proposes_again_at_once(ends: PskEnds) -> None:
    """Until it has, the follower has a newer generation than the connection's, and takes that for over."""
    ends.pass_time(0.1)
    reconnect(ends)
    ends.clock.advance(INTERVAL_S)
    ends.alice.tick()
    ends.flush()
    while ends.deliver(ends.alice):
        ends.flush()
    assert current(ends) == (1, 2)
    ends.alice.crash()
    reconnect(ends)
    ends.pass_time(0.1)
    assert current(ends) == (2, 2)


def test_an_old_copy_does_not_meet_the_other_end_and_the_reason_is_told(ends: PskEnds) -> None:
    copy = dict(ends.bob.store.values)
    for _ in range(2):
        ends.pass_time(INTERVAL_S)
        reconnect(ends)
    ends.disconnect()
    ends.bob.start(copy)
    with pytest.raises(PeerError, match="generation of the PSK that is not here"):
        ends.connect()
