"""Whole KMEs in a line: a relayed block comes into the stream of its two ends, and keys are made of it."""

from collections import deque
from functools import partial

import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.record_ids import record_ids
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.pair import PairOptions
from keyhop.network.relay.messages import BlockPayload, RecordsPayload
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.service.policy import Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.kme import VirtualKme
from keyhop.testing.virtual import SeededEntropy, VirtualClock

A, B, C = (KmeId(name) for name in "ABC")
SAE = {SaeId("a"): A, SaeId("b"): B, SaeId("c"): C}
LINE = Plan("hop-by-hop", ((A, B, C),))


class Line:
    """A and C have no link, but one to B each."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self._on_the_way: deque[tuple[KmeId, KmeId, bytes]] = deque()
        self.kmes = {
            name: VirtualKme(
                name,
                tuple(sorted({A, B, C} - {name})),
                SAE,
                self.clock,
                SeededEntropy(ord(name)),
                partial(self._send, name),
                Policy(),
                PairOptions(),
                neighbours=neighbours,
                feeder=FeederOptions("on-demand"),
            )
            for name, neighbours in {A: (B,), B: (A, C), C: (B,)}.items()
        }
        self.settle()
        for sequence in range(8):
            for left, right in ((A, B), (B, C)):
                data = SeededEntropy(ord(left) + sequence).token(8192)
                self.kmes[left].link_block(right, sequence, data)
                self.kmes[right].link_block(left, sequence, data)
        self.pass_time(1.0)

    def _send(self, source: KmeId, target: KmeId, data: bytes) -> None:
        self._on_the_way.append((source, target, data))

    def settle(self) -> None:
        self._flush()
        while self._on_the_way:
            source, target, data = self._on_the_way.popleft()
            self.kmes[target].received(source, data)
            self._flush()

    def _flush(self) -> None:
        for kme in self.kmes.values():
            kme.journal.flush()

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.5)):
            self.clock.advance(0.5)
            for kme in self.kmes.values():
                kme.tick()
            self.settle()

    def send(self, parcel: Parcel, plan: Plan = LINE) -> list[str | None]:
        outcome: list[str | None] = []
        self.kmes[A].kme.relay.send(parcel, plan, self.clock.monotonic() + 5.0, outcome.append)
        self.settle()
        return outcome


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.mark.parametrize("strategy", ["hop-by-hop", "xor-at-destination"])
def test_a_relayed_block_becomes_keys_of_saes_without_a_link_between_them(line: Line, strategy: str) -> None:
    data = KeyMaterial(SeededEntropy(7).token(4096))
    plan = Plan("hop-by-hop" if strategy == "hop-by-hop" else "xor-at-destination", ((A, B, C),))
    assert line.send(Parcel(C, BlockPayload(), data), plan) == [None]
    line.pass_time(1.0)
    answers: list[object] = []
    line.kmes[A].delivery.get_key(GetKey(SaeId("a"), SaeId("c")), answers.append)
    line.pass_time(1.0)
    (keys,) = answers
    assert isinstance(keys, Keys)
    theirs: list[object] = []
    line.kmes[C].delivery.get_key_with_ids(GetKeyWithIds(SaeId("c"), SaeId("a"), keys.runs[0].ids), theirs.append)
    line.pass_time(1.0)
    (fetched,) = theirs
    assert isinstance(fetched, Keys)
    assert fetched.runs[0].material == keys.runs[0].material
    assert keys.runs[0].material.reveal() in data.reveal()


def test_a_block_whose_far_end_was_started_anew_is_dropped_by_both_and_the_next_one_comes(line: Line) -> None:
    own, theirs = line.kmes[A].peers[C].relayed, line.kmes[C].peers[A].relayed
    assert line.send(Parcel(C, BlockPayload(), KeyMaterial(SeededEntropy(7).token(4096)))) == [None]
    assert own.owned.produced > 0
    line.kmes[A].peers[C].disconnect()  # the block comes to its source, and is not placed
    before = own.owned.produced
    line.kmes[A].connect(C)
    line.kmes[C].connect(A)
    line.settle()
    data = KeyMaterial(SeededEntropy(8).token(4096))
    theirs.filling.their_block(7, data, 0.0, "relay")
    line.kmes[C].crash()
    line.pass_time(1.0)
    own.filling.own_block(7, data, 0.0, "relay")
    line.pass_time(2.0)
    assert own.owned.produced == before
    assert line.send(Parcel(C, BlockPayload(), KeyMaterial(SeededEntropy(9).token(4096)))) == [None]
    line.pass_time(1.0)
    assert own.owned.produced > before


def test_records_are_there_for_the_slave_when_the_source_hears_so(line: Line) -> None:
    ids = record_ids(bytes(range(32)))
    payload = RecordsPayload(bytes(16), "kme", SaeId("a"), (SaeId("c"),), ids)
    assert line.send(Parcel(C, payload, KeyMaterial(b"k" * 64))) == [None]
    assert line.kmes[C].records.entitles(ids[:16], SaeId("a"), SaeId("c"))
    line.kmes[C].crash()
    assert line.kmes[C].records.entitles(ids[16:], SaeId("a"), SaeId("c"))
