"""What the IDs of one dec_keys request name, in whatever order and of whatever sizes they come."""

import random
from collections.abc import Iterator

import pytest

from keyhop.core.errors import BadRequest
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.key_id import PairKeyIds
from keyhop.service.lookup import InStream, Lookup
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, B = SaeId("a"), SaeId("b")


@pytest.fixture
def network() -> VirtualNetwork:
    network = VirtualNetwork({A: ALICE, B: BOB}, 1)
    network.settle()
    network.produce(16)
    network.settle()
    return network


def made(network: VirtualNetwork, number: int, size_bits: int = 256) -> list[bytes]:
    answers = network.get_key(ALICE, GetKey(A, B, number, size_bits))
    network.settle()
    (keys,) = answers
    assert isinstance(keys, Keys)
    return [keys.runs[0].ids[i : i + 16] for i in range(0, 16 * number, 16)]


def runs(network: VirtualNetwork, ids: list[bytes]) -> list[int]:
    """How many keys each run has that the IDs are found as."""
    kme = network.kmes[BOB].kme
    lookup = Lookup([kme.peers[ALICE].neighbour.followed], kme.records, kme.redelivery, lambda: None)
    found = lookup.find(GetKeyWithIds(B, A, b"".join(ids)))
    assert all(isinstance(run, InStream) for run in found)
    return [run.number for run in found if isinstance(run, InStream)]


@pytest.mark.parametrize("number", [1, 2, 9, 10, 11, 73, 200])
def test_keys_in_their_order_are_one_run(network: VirtualNetwork, number: int) -> None:
    assert runs(network, made(network, number)) == [number]


def test_a_run_ends_where_the_order_or_the_size_does(network: VirtualNetwork) -> None:
    ids, others = made(network, 30), made(network, 12, 72)
    assert runs(network, ids[5:25]) == [20]
    assert runs(network, ids[:7] + ids[8:] + others) == [7, 22, 12]
    assert runs(network, ids[10:] + ids[:10]) == [20, 10]
    assert runs(network, ids[::-1]) == [1] * 30


def test_missing_keys_are_named_one_by_one(network: VirtualNetwork) -> None:
    ids = made(network, 40)
    gone = (ids[3], ids[17], ids[39])
    for key_id in gone:
        network.get_key_with_ids(BOB, GetKeyWithIds(B, A, key_id))
    network.settle()
    with pytest.raises(BadRequest) as refused:
        runs(network, ids)
    assert [bytes.fromhex(d["key_ID"].replace("-", "")) for d in refused.value.details] == list(gone)


@pytest.mark.parametrize("twice", [[0, 0], [0, 1, 2, 1], [5, 3, 5], [*range(30), 29], [*range(30), 0]])
def test_an_id_that_is_there_twice_refuses_all(network: VirtualNetwork, twice: list[int]) -> None:
    ids = made(network, 30)
    with pytest.raises(BadRequest, match="twice"):
        runs(network, [ids[i] for i in twice])
    assert runs(network, ids) == [30]


@pytest.mark.parametrize("named", ["made up", "spent"])
def test_ids_that_name_nothing_are_not_tried_with_every_secret(network: VirtualNetwork, named: str) -> None:
    if named == "made up":
        numbers = random.Random(1)
        ids = [bytearray(numbers.randbytes(16)) for _ in range(100)]
        for key_id in ids:
            key_id[6], key_id[8] = key_id[6] & 0x0F | 0x80, key_id[8] & 0x3F | 0x80
    else:
        ids = [bytearray(key_id) for key_id in made(network, 100)]
        network.get_key_with_ids(BOB, GetKeyWithIds(B, A, b"".join(ids)))
        network.settle()
    tried: list[int] = []

    def uses(epoch: int) -> Iterator[bytes]:
        for number in range(48):
            tried.append(number)
            yield number.to_bytes()

    kme = network.kmes[BOB].kme
    lookup = Lookup([kme.peers[ALICE].neighbour.followed], kme.records, kme.redelivery, lambda: None)
    with pytest.raises(BadRequest, match="not found"):
        lookup.find(GetKeyWithIds(B, A, b"".join(ids)), lambda stream: uses)
    assert len(tried) <= len(ids)


@pytest.mark.parametrize("order", ["pairs", "shuffled", "all gone"])
def test_no_order_of_ids_makes_much_work(network: VirtualNetwork, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = made(network, 400)
    if order == "pairs":
        ids = [key_id for i in range(0, 400, 4) for key_id in ids[i : i + 2]]
    elif order == "shuffled":
        random.Random(1).shuffle(ids)
    else:
        network.get_key_with_ids(BOB, GetKeyWithIds(B, A, b"".join(ids)))
        network.settle()
    sealed: list[int] = []
    seal = PairKeyIds.seal

    def counted(self: PairKeyIds, position: int, size_bytes: int, count: int = 1) -> bytes:
        sealed.append(count)
        return seal(self, position, size_bytes, count)

    monkeypatch.setattr(PairKeyIds, "seal", counted)
    answers = network.get_key_with_ids(BOB, GetKeyWithIds(B, A, b"".join(ids)))
    network.settle()
    assert isinstance(answers[0], BadRequest if order == "all gone" else Keys)
    assert sum(sealed) <= 10 * len(ids)
