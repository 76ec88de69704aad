"""A slave whose answer was lost asks again: with a window it gets the same keys, once."""

from collections.abc import Iterator

import pytest

from keyhop.core.errors import BadRequest, KeyhopError, StoreFailure, Unauthorised
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.pair import PairOptions
from keyhop.service.kme_options import KmeOptions
from keyhop.service.policy import Policy
from keyhop.service.redelivery import OVERHEAD_BYTES
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, B, C = SaeId("a"), SaeId("b"), SaeId("c")
WINDOW_S = 3.0


class Sites(VirtualNetwork):
    """Two sites with key in stock; SAEs b and c are bob's."""

    def __init__(self, **policy: float) -> None:
        super().__init__({A: ALICE, B: BOB, C: BOB}, 1, policy=Policy(**policy))  # type: ignore[arg-type]
        self.settle()
        self.produce(8)
        self.settle()

    def make(self, number: int = 1, size_bits: int = 256, *, extra: tuple[SaeId, ...] = ()) -> tuple[bytes, ...]:
        """The IDs of keys that a shares with b."""
        answers = self.get_key(ALICE, GetKey(A, B, number, size_bits, extra))
        self.settle()
        (keys,) = answers
        assert isinstance(keys, Keys)
        return tuple(run.ids[i : i + 16] for run in keys.runs for i in range(0, len(run.ids), 16))

    def fetch(self, *ids: bytes, slave: SaeId = B, master: SaeId = A) -> Keys | KeyhopError:
        """One dec_keys request."""
        answers = self.get_key_with_ids(BOB, GetKeyWithIds(slave, master, b"".join(ids)))
        self.settle()
        (answer,) = answers
        return answer


def keys_of(answer: Keys | KeyhopError) -> list[bytes]:
    assert isinstance(answer, Keys), answer
    return [
        run.material.reveal()[i * run.size_bytes : (i + 1) * run.size_bytes]
        for run in answer.runs
        for i in range(run.count)
    ]


@pytest.fixture
def sites() -> Iterator[Sites]:
    sites = Sites(redelivery_s=WINDOW_S)
    yield sites
    for kme in sites.kmes.values():
        for pair in kme.kme.pairs():
            assert pair.followed.ledger.balances(pair.followed.available_bytes)


def test_without_a_window_there_is_no_second_time() -> None:
    sites = Sites()
    (key_id,) = sites.make()
    keys_of(sites.fetch(key_id))
    assert isinstance(sites.fetch(key_id), BadRequest)
    assert sites.kmes[BOB].kme.redelivery.kept_bytes == 0


@pytest.mark.parametrize("size_bits", [256, 72])
def test_the_same_key_once_more_and_never_a_third_time(sites: Sites, size_bits: int) -> None:
    ids = sites.make(3, size_bits)
    first = sites.fetch(*ids)
    again = sites.fetch(*ids)
    assert keys_of(again) == keys_of(first)
    assert isinstance(first, Keys)
    assert isinstance(again, Keys)
    assert (first.sent_before, again.sent_before) == (0, 3)
    assert isinstance(sites.fetch(ids[1]), BadRequest)


def test_a_record_too(sites: Sites) -> None:
    (key_id,) = sites.make(extra=(C,))
    first = keys_of(sites.fetch(key_id))
    assert keys_of(sites.fetch(key_id)) == first
    assert isinstance(sites.fetch(key_id), BadRequest)
    assert keys_of(sites.fetch(key_id, slave=C)) == first
    assert keys_of(sites.fetch(key_id, slave=C)) == first
    assert isinstance(sites.fetch(key_id, slave=C), BadRequest)


def test_nobody_else_gets_it(sites: Sites) -> None:
    (key_id,) = sites.make()
    sites.fetch(key_id)
    assert isinstance(sites.fetch(key_id, slave=C), BadRequest)
    assert isinstance(sites.fetch(key_id, master=C), BadRequest | Unauthorised)
    keys_of(sites.fetch(key_id))


def test_the_window_ends_and_the_bytes_go(sites: Sites) -> None:
    early, late = sites.make(2)
    sites.fetch(early)
    sites.clock.advance(WINDOW_S - 0.1)
    sites.fetch(late)
    sites.clock.advance(0.1)
    assert isinstance(sites.fetch(early), BadRequest)
    keys_of(sites.fetch(late))
    sites.pass_time(WINDOW_S)
    assert sites.kmes[BOB].kme.redelivery.kept_bytes == 0


def test_fresh_keys_and_sent_ones_in_one_request(sites: Sites) -> None:
    ids = sites.make(6)
    first = keys_of(sites.fetch(ids[1], ids[4]))
    mixed = sites.fetch(*ids)
    keys = keys_of(mixed)
    assert [keys[1], keys[4]] == first
    assert len(set(keys)) == 6
    assert isinstance(mixed, Keys)
    assert mixed.sent_before == 2
    assert keys_of(sites.fetch(ids[0], ids[5])) == [keys[0], keys[5]]
    assert isinstance(sites.fetch(ids[4]), BadRequest)


def test_a_request_with_one_bad_id_uses_up_nothing(sites: Sites) -> None:
    ids = sites.make(3)
    first = keys_of(sites.fetch(ids[0]))
    refusal = sites.fetch(*ids, bytes(16))
    assert isinstance(refusal, BadRequest)
    assert len(refusal.details) == 1
    keys = keys_of(sites.fetch(*ids))
    assert keys[0] == first[0]


def test_fresh_keys_that_fill_the_room_do_not_push_out_what_the_same_request_asks_for() -> None:
    sites = Sites(redelivery_s=WINDOW_S, redelivery_bytes=2 * (32 + OVERHEAD_BYTES))
    ids = sites.make(5)
    first = keys_of(sites.fetch(*ids[3:]))
    assert keys_of(sites.fetch(*ids))[3:] == first
    assert isinstance(sites.fetch(ids[0]), BadRequest)
    keys_of(sites.fetch(*ids[1:3]))


def test_the_second_time_waits_for_the_journal_too(sites: Sites) -> None:
    (key_id,) = sites.make()
    answers = [sites.get_key_with_ids(BOB, GetKeyWithIds(B, A, key_id)) for _ in range(2)]
    assert answers == [[], []]
    sites.settle()
    assert keys_of(answers[0][0]) == keys_of(answers[1][0])


def test_a_failed_store_gives_out_nothing_more(sites: Sites) -> None:
    (key_id,) = sites.make()
    sites.fetch(key_id)
    kme = sites.kmes[BOB].kme
    kme.journal.on_failure.append(lambda _: kme.abandon())
    kme.journal.fail(StoreFailure("the disk is gone"))
    assert kme.redelivery.kept_bytes == 0
    assert not isinstance(sites.fetch(key_id), Keys)


def test_a_reload_that_switches_it_off_forgets_everything(sites: Sites) -> None:
    (key_id,) = sites.make()
    sites.fetch(key_id)
    sites.kmes[BOB].kme.reconfigure(KmeOptions(Policy(), PairOptions()))
    assert sites.kmes[BOB].kme.redelivery.kept_bytes == 0
    assert isinstance(sites.fetch(key_id), BadRequest)


@pytest.mark.parametrize(("window_s", "for_s"), [(1.0, 1.0), (60.0, WINDOW_S)])
def test_a_reload_shortens_the_window_of_what_was_sent_and_never_makes_it_longer(window_s: float, for_s: float) -> None:
    for waits_s, is_there in ((for_s - 0.5, True), (for_s, False)):
        sites = Sites(redelivery_s=WINDOW_S)
        (key_id,) = sites.make()
        keys_of(sites.fetch(key_id))
        sites.pass_time(0.5)
        bob = sites.kmes[BOB]
        bob.kme.reconfigure(bob.options_with(Policy(redelivery_s=window_s)))
        if waits_s > 0.5:
            sites.pass_time(waits_s - 0.5)
        assert isinstance(sites.fetch(key_id), Keys if is_there else BadRequest)


def test_a_crash_forgets_it(sites: Sites) -> None:
    (key_id,) = sites.make()
    sites.fetch(key_id)
    sites.kmes[BOB].crash()
    sites.settle()
    assert isinstance(sites.fetch(key_id), BadRequest)
