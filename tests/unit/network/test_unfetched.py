"""Keys that nobody fetches do not fill the follower's memory."""

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.network.pair import PairOptions
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, B = SaeId("a"), SaeId("b")
BOUND = 64 << 10


def fetch(network: VirtualNetwork, key_id: bytes) -> Keys | KeyhopError:
    answers = network.get_key_with_ids(BOB, GetKeyWithIds(B, A, key_id))
    network.settle()
    return answers[0]


def test_the_oldest_unfetched_keys_go_when_there_are_too_many() -> None:
    network = VirtualNetwork({A: ALICE, B: BOB}, 1, options=PairOptions(stock_bytes=1 << 20, unfetched_bytes=BOUND))
    network.settle()
    ids: list[bytes] = []
    for _ in range(40):
        network.produce(4, 8192)
        network.settle()
        answers = network.get_key(ALICE, GetKey(A, B, number=256))
        network.pass_time(1)
        assert isinstance(answers[0], Keys)
        ids.append(answers[0].runs[0].ids[-KEY_ID_BYTES:])
    followed = network.kmes[BOB].peers[ALICE].neighbour.followed
    assert followed.unfetched_units * 8 <= BOUND
    assert followed.ledger.expired > 0
    assert followed.ledger.balances(followed.available_bytes)
    assert isinstance(fetch(network, ids[0]), KeyhopError)
    assert isinstance(fetch(network, ids[-1]), Keys)
