"""What a hostile peer can do to the agreement on a secret: nothing but leave itself without one."""

import pytest

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import FollowedStream, OwnedStream, StreamRef
from keyhop.core.streams.base import Block
from keyhop.network import wire
from keyhop.network.hybrid.agreeing import Agreeing
from keyhop.network.hybrid.kem import MlKem768
from keyhop.network.hybrid.kept import MAX_KEPT, KeptSecrets
from keyhop.network.hybrid.messages import (
    PUBLIC_KEY_BYTES,
    SEALED_BYTES,
    HybridAsked,
    HybridMessage,
    HybridNamed,
    HybridOffered,
    HybridSealed,
    HybridStored,
)
from keyhop.network.hybrid.secret import Secret
from keyhop.testing.virtual import SeededEntropy, VirtualClock

ALICE, BOB = KmeId("alice"), KmeId("bob")


class End:
    """Alice's end, with a block in either stream."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        store = MemoryStore()
        journal = Journal(store, lambda: None)
        self.owned = OwnedStream(StreamRef(ALICE, BOB), store, journal)
        followed = FollowedStream(StreamRef(BOB, ALICE), store, journal)
        block = Block(SeededEntropy(0).token(4096), 32, b"tag", 0.0, "test")
        self.owned.append(block)
        followed.append(1, [block])
        self.kept = KeptSecrets(followed, store, journal)
        self.said: list[HybridMessage] = []
        self.agreeing = Agreeing(self.owned, self.kept, self.clock, SeededEntropy(1), self.said.append, MlKem768())
        self.agreeing.wanted = True
        self.agreeing.synchronised()


@pytest.fixture
def end() -> End:
    return End()


def key_of(end: End) -> bytes:
    end.agreeing.received(HybridAsked())
    offered = end.said[-1]
    assert isinstance(offered, HybridOffered)
    return offered.key


def check_of(shared: bytes) -> bytes:
    return Secret(1, KeyMaterial(shared)).check


def secret_of(end: End) -> Secret | None:
    return end.agreeing.secret


def agreed(end: End) -> Secret:
    """With a follower that answers as it shall."""
    end.agreeing.received(HybridOffered(key_of(end)))
    sealed = end.said[-1]
    assert isinstance(sealed, HybridSealed)
    end.agreeing.received(sealed)
    stored = end.said[-1]
    assert isinstance(stored, HybridStored)
    end.agreeing.received(stored)
    secret = end.agreeing.secret
    assert secret is not None
    return secret


def test_a_key_that_is_none_is_a_broken_protocol(end: End) -> None:
    with pytest.raises(PeerError, match="no ML-KEM-768 key"):
        end.agreeing.received(HybridOffered(b"\xff" * PUBLIC_KEY_BYTES))


def test_an_offer_that_was_not_asked_for_changes_nothing(end: End) -> None:
    key = key_of(end)
    end.agreeing.received(HybridOffered(key))
    first = end.said[-1]
    end.agreeing.received(HybridOffered(key))
    assert end.said[-1] is first


def test_a_secret_that_was_garbled_is_not_used_and_asked_for_again(end: End) -> None:
    end.agreeing.received(HybridOffered(key_of(end)))
    end.agreeing.received(HybridStored(1, bytes(16)))
    assert end.agreeing.secret is None
    end.clock.advance(1.0)
    end.agreeing.tick()
    assert isinstance(end.said[-1], HybridAsked)


def test_a_secret_that_its_follower_has_forgotten_is_not_used_from_the_next_session_on(end: End) -> None:
    """It may have been restored to a copy; and an epoch of which nothing was produced is not closed by that."""
    secret = agreed(end)
    end.agreeing.interrupted()
    assert secret_of(end) == secret
    end.agreeing.synchronised()
    assert secret_of(end) is None
    assert end.said[-1] == HybridNamed(1, secret.check)
    end.agreeing.received(HybridStored(1, bytes(16)))
    assert secret_of(end) is None
    assert isinstance(end.said[-1], HybridAsked)


def test_a_secret_that_its_follower_still_has_is_used_on(end: End) -> None:
    secret = agreed(end)
    end.agreeing.interrupted()
    end.agreeing.synchronised()
    end.clock.advance(1.0)
    end.agreeing.tick()
    assert end.said[-2:] == [HybridNamed(1, secret.check)] * 2
    end.agreeing.received(HybridStored(1, secret.check))
    assert end.agreeing.secret == secret
    end.agreeing.tick()
    assert len(end.said) == 6


def test_a_follower_says_whether_it_has_a_secret(end: End) -> None:
    kept = Secret(1, KeyMaterial(bytes(32)))
    end.kept.add(kept, 0.0)
    for asked, answer in ((kept.check, kept.check), (bytes(16), bytes(16))):
        end.agreeing.received(HybridNamed(1, asked))
        assert end.said[-1] == HybridStored(1, answer)
    end.agreeing.received(HybridNamed(2, kept.check))
    assert end.said[-1] == HybridStored(2, bytes(16))


def test_what_was_sealed_to_no_key_of_ours_is_answered_but_not_kept(end: End) -> None:
    end.agreeing.received(HybridSealed(1, bytes(SEALED_BYTES), bytes(range(16))))
    assert end.said[-1] == HybridStored(1, bytes(16))
    key_of(end)
    for epoch in (0, 1):
        end.agreeing.received(HybridSealed(epoch, bytes(SEALED_BYTES), bytes(range(16))))
        assert end.said[-1] == HybridStored(epoch, bytes(16))
    assert len(end.kept) == 0


def test_a_key_is_good_for_one_secret_which_may_be_asked_for_again(end: End) -> None:
    key = key_of(end)
    kem = MlKem768()
    first, other = (HybridSealed(1, sealed, check_of(shared)) for shared, sealed in map(kem.encapsulate, [key, key]))
    for sealed in (first, first, other):
        end.agreeing.received(sealed)
    assert end.said[-3:] == [HybridStored(1, first.check)] * 2 + [HybridStored(1, bytes(16))]
    assert len(end.kept) == 1


def test_a_secret_that_comes_again_after_another_key_was_offered_stays_the_one_that_is_kept(end: End) -> None:
    """It was opened with that key: what came of it took the place of the secret that its owner went on to use, and a
    minute later that one was forgotten."""
    shared, ciphertext = MlKem768().encapsulate(key_of(end))
    sealed = HybridSealed(1, ciphertext, check_of(shared))
    end.agreeing.received(sealed)
    key_of(end)
    end.agreeing.received(sealed)
    assert end.said[-1] == HybridStored(1, sealed.check)
    assert [secret.check for secret in end.kept.of(1)] == [sealed.check]


def test_what_is_kept_is_bounded(end: End) -> None:
    for n in range(MAX_KEPT + 9):
        end.kept.add(Secret(1, KeyMaterial(n.to_bytes(32))), float(n))
    assert len(end.kept) == MAX_KEPT
    assert [secret.shared.reveal()[-1] for secret in end.kept.of(1)][:2] == [MAX_KEPT + 8, MAX_KEPT + 7]


@pytest.mark.parametrize(
    "body",
    [
        HybridOffered(bytes(PUBLIC_KEY_BYTES - 1)),
        HybridSealed(1, bytes(SEALED_BYTES + 1), bytes(16)),
        HybridStored(1, b""),
    ],
)
def test_lengths_are_checked_before_anything_else(body: HybridMessage) -> None:
    with pytest.raises(PeerError, match="malformed"):
        wire.decode(wire.encode(wire.Envelope("direct", 1, 1, body)))
