"""Key IDs: what was sealed is located, recognised by its pair alone, and any other bit is refused."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.ids import SaeId
from keyhop.core.key_id import ID_KEY_BYTES, MAX_KEY_BYTES, MAX_PAIRS, EpochKeyIds, Located
from keyhop.core.units import MAX_POSITION, units_for

EPOCH = EpochKeyIds(bytes(range(ID_KEY_BYTES)))
NAMES = tuple(SaeId(name) for name in ("a", "b", "ab", "alicesae", "bobsae", "ä", "x" * 64))

sizes = st.integers(1, MAX_KEY_BYTES)
positions = st.one_of(
    st.integers(0, MAX_POSITION - 128),
    st.integers(0, 4096),
    st.integers(0, 35).map(lambda bit: 1 << bit),
    st.integers(MAX_POSITION - 300, MAX_POSITION - 128),
)
pairs = st.permutations(NAMES).map(lambda names: (names[0], names[1]))
id_keys = st.binary(min_size=ID_KEY_BYTES, max_size=ID_KEY_BYTES)


@given(id_keys, pairs, positions, sizes)
def test_what_was_sealed_is_located_and_recognised(
    id_key: bytes, pair: tuple[SaeId, SaeId], position: int, size: int
) -> None:
    epoch = EpochKeyIds(id_key)
    key_id = epoch.pair(*pair).seal(position, size)
    located = EpochKeyIds(id_key).locate(key_id)
    assert located == Located(position, size)
    assert epoch.pair(*pair).recognises(key_id, Located(position, size))


@given(positions, sizes)
def test_it_is_a_uuid_of_version_8(position: int, size: int) -> None:
    parsed = uuid.UUID(bytes=EPOCH.pair(NAMES[0], NAMES[1]).seal(position, size))
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)


@given(pairs, positions, sizes)
def test_only_its_own_ordered_pair_recognises_it(pair: tuple[SaeId, SaeId], position: int, size: int) -> None:
    key_id = EPOCH.pair(*pair).seal(position, size)
    located = Located(position, size)
    others = [(m, s) for m in NAMES for s in NAMES if (m, s) != pair]
    assert not any(EPOCH.pair(*other).recognises(key_id, located) for other in others)


@given(pairs, positions, sizes)
def test_every_flipped_bit_is_refused(pair: tuple[SaeId, SaeId], position: int, size: int) -> None:
    key_id = EPOCH.pair(*pair).seal(position, size)
    sealer = EPOCH.pair(*pair)
    for bit in range(128):
        flipped = (int.from_bytes(key_id) ^ 1 << bit).to_bytes(16)
        located = EPOCH.locate(flipped)
        assert located is None or not sealer.recognises(flipped, located)


@given(st.lists(st.tuples(pairs, positions, sizes), unique=True, min_size=2, max_size=60))
def test_no_two_places_or_pairs_share_an_id(places: list[tuple[tuple[SaeId, SaeId], int, int]]) -> None:
    ids = {EPOCH.pair(*pair).seal(position, size) for pair, position, size in places}
    assert len(ids) == len(places)


def test_neighbouring_places_and_all_sizes_have_ids_of_their_own() -> None:
    sealers = [EPOCH.pair(NAMES[0], NAMES[1]), EPOCH.pair(NAMES[1], NAMES[0])]
    ids = [s.seal(position, size) for s in sealers for position in range(64) for size in range(1, MAX_KEY_BYTES + 1, 7)]
    ids += [s.seal(position, size) for s in sealers for position in (0, 8, 1 << 35) for size in range(2, 1025, 7)]
    assert len(set(ids)) == len(ids)


@given(id_keys, id_keys, positions, sizes)
def test_another_epoch_does_not_recognise_it(one: bytes, other: bytes, position: int, size: int) -> None:
    sealer, foreign = (EpochKeyIds(key).pair(NAMES[0], NAMES[1]) for key in (one, other))
    key_id = sealer.seal(position, size)
    assert foreign.recognises(key_id, Located(position, size)) == (one == other)


@given(pairs, st.integers(0, MAX_POSITION - 128 * 300), sizes, st.integers(1, 300))
def test_many_at_once_are_the_same_as_one_by_one(
    pair: tuple[SaeId, SaeId], position: int, size: int, count: int
) -> None:
    sealer, units = EPOCH.pair(*pair), units_for(size)
    one_by_one = b"".join(sealer.seal(position + units * i, size) for i in range(count))
    assert sealer.seal(position, size, count) == one_by_one


@given(sizes, st.integers(1, 50))
def test_the_last_keys_of_an_epoch_fit_exactly(size: int, count: int) -> None:
    sealer, units = EPOCH.pair(NAMES[0], NAMES[1]), units_for(size)
    ids = sealer.seal(MAX_POSITION - units * count, size, count)
    assert EPOCH.locate(ids[-16:]) == Located(MAX_POSITION - units, size)
    with pytest.raises(ValueError, match="cannot express"):
        sealer.seal(MAX_POSITION - units * count + 1, size, count)


@pytest.mark.parametrize(("position", "size"), [(0, 0), (0, -8), (0, MAX_KEY_BYTES + 1), (-1, 8), (MAX_POSITION, 1)])
def test_what_an_id_cannot_express_is_refused(position: int, size: int) -> None:
    with pytest.raises(ValueError, match="cannot express"):
        EPOCH.pair(NAMES[0], NAMES[1]).seal(position, size)


@given(st.binary(min_size=16, max_size=16))
def test_any_16_bytes_are_located_or_not_but_never_recognised(key_id: bytes) -> None:
    located = EPOCH.locate(key_id)
    assert located is None or not EPOCH.pair(NAMES[0], NAMES[1]).recognises(key_id, located)


def test_a_forged_head_beyond_the_end_of_an_epoch_is_no_place() -> None:
    sealer = EPOCH.pair(NAMES[0], NAMES[1])
    genuine = sealer.seal(0, MAX_KEY_BYTES)
    forged = (int.from_bytes(genuine) ^ (MAX_POSITION - 1)).to_bytes(16)
    located = EPOCH.locate(forged)
    assert located is None or not sealer.recognises(forged, located)


@pytest.mark.parametrize("size", [0, 63, 65])
def test_an_id_key_of_any_other_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        EpochKeyIds(bytes(size))


def test_names_do_not_run_into_each_other() -> None:
    one, other = EPOCH.pair(SaeId("ab"), SaeId("c")), EPOCH.pair(SaeId("a"), SaeId("bc"))
    assert one.seal(100, 32) != other.seal(100, 32)


def test_a_flood_of_pairs_takes_no_more_memory_than_the_bound_and_changes_no_id() -> None:
    epoch = EpochKeyIds(bytes(range(ID_KEY_BYTES)))
    before = epoch.pair(NAMES[0], NAMES[1]).seal(100, 32)
    for i in range(MAX_PAIRS + 10):
        epoch.pair(SaeId(f"m{i}"), SaeId("s"))
    assert len(epoch._pairs) == MAX_PAIRS
    assert epoch.pair(NAMES[0], NAMES[1]).seal(100, 32) == before
