"""Chunks against a plain list of units; records against a plain dict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.chunk import CHUNK_UNITS, Age, Chunk, split
from keyhop.core.ids import SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.record_ids import record_ids
from keyhop.core.records import RecordBook, RecordOrigin
from keyhop.core.store.base import Slot
from keyhop.core.store.memory import MemoryStore

START = 1000
SLOT = Slot("chunk", "here")
ranges = st.tuples(st.integers(START - 20, START + 80), st.integers(0, 60)).map(lambda r: (r[0], r[0] + r[1]))


def units_of(count: int) -> list[bytes]:
    return [(START + i).to_bytes(8) for i in range(count)]


@given(st.integers(1, 64), st.lists(ranges, max_size=8), ranges)
def test_a_chunk_is_a_list_of_units(count: int, erasures: list[tuple[int, int]], asked: tuple[int, int]) -> None:
    chunk = Chunk.fresh(SLOT, START, b"".join(units_of(count)), Age(5.0, "test"))
    model: dict[int, bytes] = {START + i: unit for i, unit in enumerate(units_of(count))}
    live = set(model)
    for start, end in erasures:
        gone = live & set(range(start, end))
        assert chunk.erase(start, end) == len(gone)
        live -= gone
        model.update((position, bytes(8)) for position in gone)
        chunk = Chunk.decode(SLOT, START, chunk.encode())
    inside = [position for position in range(*asked) if position in model]
    assert chunk.holds(*asked) == all(position in live for position in inside)
    assert chunk.read(*asked) == b"".join(model[position] for position in inside)
    assert chunk.live_units == len(live)
    assert (chunk.start, chunk.end, chunk.age) == (START, START + count, Age(5.0, "test"))


@given(st.integers(0, 3 * CHUNK_UNITS + 5))
def test_a_block_is_split_into_chunks_without_gap_or_overlap(units: int) -> None:
    data = b"".join(i.to_bytes(8) for i in range(units))
    chunks = list(split(lambda at: Slot("chunk", str(at)), START, data, Age(1.0, "test")))
    at = START
    for chunk in chunks:
        assert (chunk.start, chunk.slot.name) == (at, str(at))
        assert 1 <= chunk.units <= CHUNK_UNITS
        at = chunk.end
    assert at == START + units
    assert b"".join(bytes(chunk.data) for chunk in chunks) == data


SLAVES = tuple(SaeId(name) for name in ("b1", "b2", "b3"))
MASTERS = tuple(SaeId(name) for name in ("a1", "a2"))
key_ids = st.integers(0, 4).map(lambda i: record_ids(bytes([i]) * 16))
steps = st.one_of(
    st.tuples(
        st.just("add"),
        key_ids,
        st.sampled_from(MASTERS),
        st.lists(st.sampled_from(SLAVES), min_size=1, max_size=3, unique=True).map(tuple),
        st.integers(0, 100),
    ),
    st.tuples(st.just("deliver"), key_ids, st.sampled_from(MASTERS), st.sampled_from(SLAVES)),
    st.tuples(
        st.just("void"), key_ids, st.sampled_from(MASTERS), st.sets(st.sampled_from(SLAVES), min_size=1).map(tuple)
    ),
    st.tuples(st.just("discard"), key_ids),
    st.tuples(st.just("expire"), st.integers(0, 110)),
    st.tuples(st.just("restart")),
)


@given(st.lists(steps, max_size=40))
def test_every_slave_gets_a_record_once_unless_it_was_voided_also_over_restarts(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    store = MemoryStore()
    journal = Journal(store, lambda: None)
    book = RecordBook(store, journal)
    model: dict[bytes, tuple[SaeId, set[SaeId], int, bytes]] = {}
    named: dict[bytes, set[SaeId]] = {}
    void: dict[bytes, set[SaeId]] = {}
    for number, step in enumerate(steps):
        match step:
            case ("add", key_id, master, slaves, created_at) if not book.knows(key_id):
                key = number.to_bytes(32)
                book.add(key_id, KeyMaterial(key), slaves, RecordOrigin(master, "kme", created_at))
                model[key_id] = (master, set(slaves), created_at, key)
                named[key_id], void[key_id] = set(slaves), set()
            case ("add", key_id, master, slaves, created_at) if key_id in model:
                with pytest.raises(ValueError, match="not replaced"):
                    book.add(key_id, KeyMaterial(bytes(32)), slaves, RecordOrigin(master, "kme", created_at))
            case ("void", key_id, master, slaves) if key_id in model:
                owner, waiting, *_ = model[key_id]
                if owner == master and set(slaves) <= named[key_id]:
                    void[key_id] |= waiting & set(slaves)
                    assert book.void(key_id, master, slaves) == (set(slaves) <= void[key_id])
                    waiting.difference_update(slaves)
                    assert all(book.is_over(key_id, master, s) for s in slaves if waiting)
                    if not waiting:
                        del model[key_id]
                else:
                    assert not book.void(key_id, master, slaves)
            case ("void", key_id, master, slaves) if key_id in book.endings:
                ending = book.endings.get(key_id)
                assert ending is not None
                expected = ending.master == master and set(slaves) <= void[key_id]
                assert book.void(key_id, master, slaves) == expected
            case ("deliver", key_id, master, slave) if key_id in model:
                owner, waiting, _, key = model[key_id]
                assert book.entitles(key_id, master, slave) == (owner == master and slave in waiting)
                if book.entitles(key_id, master, slave):
                    assert book.deliver(key_id, slave) == key
                    waiting.discard(slave)
                    if not waiting:
                        del model[key_id]
            case ("discard", key_id):
                book.discard(key_id)
                model.pop(key_id, None)
            case ("expire", before):
                book.expire(before)
                model = {k: record for k, record in model.items() if record[2] >= before}
                endings = [ending for key_id in named if (ending := book.endings.get(key_id))]
                assert all(ending.created_at >= before for ending in endings)
            case ("restart",):
                journal.flush()
                store = MemoryStore(store.values)
                journal = Journal(store, lambda: None)
                book = RecordBook(store, journal)
        journal.flush()
        assert len(book) == len(model)
        assert all(key_id in book and book.origin(key_id).master == record[0] for key_id, record in model.items())
        assert all(book.size_bytes(key_id) == 32 for key_id in model)
        assert len(store.values) == len(model) + len(book.endings)


@given(st.integers(0, 20).flatmap(lambda count: st.binary(min_size=16 * count, max_size=16 * count)))
def test_record_ids_are_uuids_of_version_4(random: bytes) -> None:
    ids = record_ids(random)
    assert len(ids) == len(random)
    for at in range(0, len(ids), 16):
        assert ids[at + 6] >> 4 == 4
        assert ids[at + 8] >> 6 == 2
        kept = int.from_bytes(ids[at : at + 16]) ^ int.from_bytes(random[at : at + 16])
        assert kept & ~(0xF << 76 | 0x3 << 62) == 0
