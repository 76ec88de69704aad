"""What an end has of a PSK, by what name it shows it, and when it forgets."""

import pytest

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.memory import MemoryStore
from keyhop.network.psk.generations import PskGenerations

ALICE, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")
PSK, FRESH = bytes(range(32)), b"f" * 32


def generations(me: KmeId, peer: KmeId, psk: bytes = PSK, store: MemoryStore | None = None) -> PskGenerations:
    store = store or MemoryStore()
    journal = Journal(store, lambda: None)
    made = PskGenerations(me, peer, KeyMaterial(psk), store, journal)
    made.flush = journal.flush  # type: ignore[attr-defined]
    return made


def refreshed(alice: PskGenerations, bob: PskGenerations, fresh: bytes = FRESH) -> None:
    """Both make the next generation of these bytes, and meet with it."""
    for end in (alice, bob):
        end.adopt(end.after(end.current, fresh), 7.0)
        end.flush()  # type: ignore[attr-defined]
        end.used(end.current)
        end.flush()  # type: ignore[attr-defined]


def test_both_ends_make_the_same_of_the_same_bytes() -> None:
    alice, bob = generations(ALICE, BOB), generations(BOB, ALICE)
    refreshed(alice, bob)
    assert alice.current == bob.current == 1
    assert alice.secret(1) == bob.secret(1)
    assert len(alice.secret(1)) == 32


def test_a_generation_hangs_on_the_one_before_the_fresh_bytes_and_the_names() -> None:
    made = [
        generations(ALICE, BOB).after(0, FRESH),
        generations(ALICE, CAROL).after(0, FRESH),
        generations(ALICE, BOB, b"o" * 32).after(0, FRESH),
        generations(ALICE, BOB).after(0, b"o" * 32),
    ]
    assert len({generation.secret.reveal() for generation in made}) == 4
    assert len({generation.check for generation in made}) == 4


def test_one_that_nobody_has_used_gives_way_to_another() -> None:
    bob = generations(BOB, ALICE)
    first, second = bob.after(0, FRESH), bob.after(0, b"o" * 32)
    bob.adopt(first, 1.0)
    assert bob.has(1, first.check)
    bob.adopt(second, 2.0)
    assert not bob.has(1, first.check)
    assert bob.has(1, second.check)
    assert bob.secret(1) == second.secret


def test_what_was_used_is_what_is_left() -> None:
    alice, bob = generations(ALICE, BOB), generations(BOB, ALICE)
    first = alice.identity(0)
    assert bob.shown(first) == 0
    refreshed(alice, bob)
    with pytest.raises(PeerError, match=r"not here \(here: 1\)"):
        bob.shown(first)
    with pytest.raises(KeyError):
        bob.secret(0)
    assert bob.shown(alice.identity(1)) == 1


def test_the_configured_key_is_of_no_use_once_it_was_refreshed_also_after_a_restart() -> None:
    store = MemoryStore()
    alice, bob = generations(ALICE, BOB), generations(BOB, ALICE, store=store)
    first = alice.identity(0)
    refreshed(alice, bob)
    again = generations(BOB, ALICE, store=MemoryStore(store.values))
    assert again.current == 1
    with pytest.raises(PeerError, match="not here"):
        again.shown(first)


def test_another_file_is_another_key_and_everything_begins_anew() -> None:
    store = MemoryStore()
    alice, bob = generations(ALICE, BOB), generations(BOB, ALICE, store=store)
    refreshed(alice, bob)
    renewed = generations(BOB, ALICE, b"n" * 32, MemoryStore(store.values))
    assert renewed.current == 0
    assert renewed.secret(0) == KeyMaterial(b"n" * 32)
    with pytest.raises(PeerError, match="its psk_file is not the one"):
        renewed.shown(alice.identity(1))


@pytest.mark.parametrize(
    "identity",
    [
        "",
        ".",
        "...",
        "keyhop",
        "keyhop.alice.bob.0",
        "0",
        "\0",
        f"keyhop.{'0' * 16}.{'0' * 16}.0",
        "x" * 5000,
    ],
)
def test_an_identity_of_nobody_is_nobody_s(identity: str) -> None:
    assert generations(BOB, ALICE).shown(identity) is None


def test_the_key_of_one_peer_is_not_another_s_even_if_both_have_the_same_file() -> None:
    assert generations(BOB, ALICE).shown(generations(CAROL, BOB).identity(0)) is None
    assert generations(BOB, ALICE).shown(generations(ALICE, CAROL).identity(0)) is None


def test_an_end_that_dials_lets_nobody_in_by_its_own_identity() -> None:
    alice = generations(ALICE, BOB)
    assert alice.shown(alice.identity(0)) is None


@pytest.mark.parametrize("number", ["", "-0", "1", "00", "٠", "0x0", " 0", "0" * 19, "9" * 4000])
def test_a_number_that_is_no_generation_here(number: str) -> None:
    bob = generations(BOB, ALICE)
    prefix = bob.identity(0).removesuffix("0")
    if number == "00":
        assert bob.shown(prefix + number) == 0
    else:
        with pytest.raises(PeerError, match=r"not here \(here: 0\)"):
            bob.shown(prefix + number)


def test_identities_are_short_and_plain_however_long_the_names() -> None:
    longest = generations(KmeId("ä" * 64), KmeId("ö" * 64)).identity(10**18 - 1)
    assert len(longest.encode()) <= 128  # RFC 4279, clause 5.3
    assert longest.isascii()


def test_nothing_shows_the_key() -> None:
    alice = generations(ALICE, BOB)
    for shown in (repr(alice), repr(alice.after(0, FRESH).secret), alice.identity(0), alice.here()):
        assert PSK.hex() not in shown
        assert "\\x" not in shown
