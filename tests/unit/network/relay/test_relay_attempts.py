"""Which announcements are of the same records."""

from keyhop.core.ids import KmeId
from keyhop.network.relay.attempts import Attempts
from keyhop.network.relay.messages import Announce, BlockPayload, RecordsPayload

A, B = KmeId("a"), KmeId("b")
SAME = RecordsPayload(bytes(16), "kme", "m", ("s",), bytes(16))
OTHER_KEYS = RecordsPayload(bytes(16), "kme", "m", ("s",), bytes(32))
OTHER_BATCH = RecordsPayload(bytes(15) + b"\1", "kme", "m", ("s",), bytes(16))


def announce(number: int, payload: RecordsPayload | BlockPayload) -> Announce:
    return Announce(bytes([number]) * 16, payload, "hop-by-hop", (("a", "d"),), 1, 32, bytes(32))


def test_those_of_one_source_and_one_batch_with_the_same_keys() -> None:
    attempts, first, again = Attempts(), announce(1, SAME), announce(2, SAME)
    for each in (first, announce(3, OTHER_KEYS), announce(4, OTHER_BATCH), announce(5, BlockPayload()), again):
        attempts.add(A, each)
    attempts.add(B, announce(6, SAME))
    assert attempts.of(A, SAME) == [first, again]
    attempts.drop(A, first)
    assert attempts.of(A, SAME) == [again]


def test_nothing_is_left_of_what_is_over() -> None:
    attempts = Attempts()
    each = [announce(1, SAME), announce(2, SAME), announce(3, OTHER_BATCH), announce(4, BlockPayload())]
    for one in each:
        attempts.add(A, one)
    for one in each:
        attempts.drop(A, one)
    assert len(attempts) == 0
    assert attempts.of(A, SAME) == []
