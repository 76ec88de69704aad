"""Whatever gives out keys writes down who got which IDs, before the reply; and the records are JSON for every name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.errors import StoreFailure
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.memory import MemoryStore
from keyhop.service import audit
from keyhop.service.audit import AuditedReplies, Handover
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, KeyRun, Keys
from keyhop.testing.audit import MemoryAudit
from keyhop.testing.network import VirtualNetwork
from keyhop.testing.virtual import VirtualClock

A1, A2, B1, B2 = (SaeId(name) for name in ("a1", "a2", "b1", "b2"))
ALICE, BOB = KmeId("alice"), KmeId("bob")
HOME = {A1: ALICE, A2: ALICE, B1: BOB, B2: BOB}
UUIDS = b"".join(bytes([i]) * 16 for i in range(5))


def network(policy: Policy | None = None) -> VirtualNetwork:
    net = VirtualNetwork(HOME, policy=policy or Policy(PairPolicy(wait_s=5.0)))
    net.settle()
    net.produce(8)
    net.pass_time(3.0)
    return net


def handed(net: VirtualNetwork, kme: KmeId) -> list[dict[str, Any]]:
    """The records of keys, without what differs from run to run."""
    records = [record for record in net.kmes[kme].audit.records() if "call" in record]
    return [{name: value for name, value in record.items() if name not in ("seq", "time")} for record in records]


def ids_of(answer: object) -> tuple[bytes, ...]:
    assert isinstance(answer, Keys)
    return tuple(run.ids[i : i + 16] for run in answer.runs for i in range(0, len(run.ids), 16))


def test_a_key_of_a_stream_is_recorded_at_both_ends() -> None:
    net = network()
    answers = net.get_key(ALICE, GetKey(A1, B1, 3, 512))
    assert answers == []
    net.settle()
    ids = ids_of(answers[0])
    wanted = {"size_bits": 512, "ids": b"".join(ids).hex()}
    common = {"interface": "etsi014", "master": "a1", "slaves": ["b1"], "paths": [["alice", "bob"]]}
    source = {"source": "virtual"}
    assert handed(net, ALICE) == [{"call": "enc_keys", "sae": "a1", **common, **source, "keys": [wanted]}]
    net.get_key_with_ids(BOB, GetKeyWithIds(B1, A1, b"".join(ids)))
    net.pass_time(1.0)
    assert handed(net, BOB) == [{"call": "dec_keys", "sae": "b1", **common, **source, "keys": [wanted]}]


def test_keys_that_were_waited_for_are_recorded() -> None:
    net = VirtualNetwork(HOME, policy=Policy(PairPolicy(wait_s=5.0)))
    net.settle()
    answers = net.get_key(ALICE, GetKey(A1, B1))
    net.settle()
    assert (answers, handed(net, ALICE)) == ([], [])
    net.produce(4)
    net.pass_time(1.0)
    assert net.kmes[ALICE].audit.key_ids("a1") == set(ids_of(answers[0]))


def test_records_name_every_slave_and_every_kme() -> None:
    net = network()
    answers = net.get_key(ALICE, GetKey(A1, B1, 1, 256, (B2, A2)))
    net.pass_time(1.0)
    (record,) = handed(net, ALICE)
    assert (record["slaves"], record["paths"], record["source"]) == (["b1", "b2", "a2"], [["alice", "bob"]], "kme")
    ids = ids_of(answers[0])
    net.get_key_with_ids(ALICE, GetKeyWithIds(A2, A1, b"".join(ids)))
    net.get_key_with_ids(BOB, GetKeyWithIds(B2, A1, b"".join(ids)))
    net.pass_time(1.0)
    at_home, away = handed(net, ALICE)[-1], handed(net, BOB)[-1]
    assert (at_home["sae"], at_home["slaves"], at_home["paths"]) == ("a2", ["a2"], [["alice"]])
    assert (away["sae"], away["slaves"], away["paths"]) == ("b2", ["b2"], [["alice", "bob"]])
    assert net.kmes[BOB].audit.key_ids("b2") == set(ids)


def test_keys_of_one_request_are_one_record_for_each_source() -> None:
    net = network()
    stream = net.get_key(ALICE, GetKey(A1, B1, 2, 256))
    shared = net.get_key(ALICE, GetKey(A1, B1, 1, 256, (B2,)))
    odd = net.get_key(ALICE, GetKey(A1, B1, 2, 72))
    net.pass_time(1.0)
    ids = (*ids_of(stream[0]), *ids_of(shared[0]), *ids_of(odd[0]))
    net.get_key_with_ids(BOB, GetKeyWithIds(B1, A1, b"".join(ids)))
    net.pass_time(1.0)
    of_streams, of_records = handed(net, BOB)
    assert (of_streams["source"], of_records["source"]) == ("virtual", "kme")
    assert of_records["keys"] == [{"size_bits": 256, "ids": ids[2].hex()}]
    assert of_streams["keys"] == [
        {"size_bits": 256, "ids": b"".join(ids[:2]).hex()},
        {"size_bits": 72, "ids": b"".join(ids[3:]).hex()},
    ]


def test_a_key_that_is_sent_again_is_recorded_as_that() -> None:
    net = network(Policy(PairPolicy(wait_s=5.0), redelivery_s=5.0))
    answers = net.get_key(ALICE, GetKey(A1, B1, 3))
    net.settle()
    ids = ids_of(answers[0])
    net.get_key_with_ids(BOB, GetKeyWithIds(B1, A1, b"".join(ids[:1])))
    net.pass_time(1.0)
    again = net.get_key_with_ids(BOB, GetKeyWithIds(B1, A1, b"".join(ids)))
    net.pass_time(1.0)
    assert ids_of(again[0]) == ids
    calls = [(record["call"], record["source"], record["keys"][0]["ids"]) for record in handed(net, BOB)]
    assert calls == [
        ("dec_keys", "virtual", ids[0].hex()),
        ("redelivery", "memory", ids[0].hex()),
        ("dec_keys", "virtual", b"".join(ids[1:]).hex()),
    ]


def test_a_refusal_leaves_no_record() -> None:
    net = network()
    net.get_key(ALICE, GetKey(A1, SaeId("nobody")))
    net.get_key_with_ids(BOB, GetKeyWithIds(B1, A1, bytes(16)))
    net.pass_time(1.0)
    assert handed(net, ALICE) == handed(net, BOB) == []


def test_nothing_leaves_when_the_audit_log_fails() -> None:
    net = network()
    net.kmes[ALICE].audit.failure = StoreFailure("the disk is full")
    answers = net.get_key(ALICE, GetKey(A1, B1))
    net.flush()
    assert [type(answer) for answer in answers] == [StoreFailure]
    later = net.get_key(ALICE, GetKey(A1, B1))
    assert len(later) == 1
    assert not isinstance(later[0], Keys)


name = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=64)


@given(name, name, st.lists(name, min_size=1, max_size=4), st.lists(st.integers(0, 2), min_size=1, max_size=5))
def test_a_record_is_json_for_every_name(master: str, kme: str, slaves: list[str], sizes: list[int]) -> None:
    sink = MemoryAudit(VirtualClock())
    journal = Journal(MemoryStore(), lambda: None, sink)
    handover = Handover(
        "enc_keys", "etsi014", SaeId(master), SaeId(master), tuple(map(SaeId, slaves)), ((KmeId(kme),),), kme
    )
    runs = tuple(
        KeyRun(UUIDS[16 * i : 16 * i + 16], 8 + size, KeyMaterial(bytes(8 + size))) for i, size in enumerate(sizes)
    )
    replies, answers = AuditedReplies(journal), list[object]()
    for _ in range(2):
        replies.give(Keys(runs), {handover: runs}, answers.append)
    journal.flush()
    first, second = (json.loads(line) for line in sink.written.decode().splitlines() if line.startswith('{"seq"'))
    assert first["keys"] == second["keys"]
    assert (first["master"], first["slaves"], first["paths"], first["source"]) == (master, slaves, [[kme]], kme)
    assert "".join(run["ids"] for run in first["keys"]) == UUIDS[: 16 * len(runs)].hex()
    assert [run["size_bits"] for run in first["keys"] for _ in range(len(run["ids"]) // 32)] == [
        64 + 8 * size for size in sizes
    ]
    assert answers == [Keys(runs)] * 2


def test_beginnings_of_records_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_REMEMBERED", 4)
    sink = MemoryAudit(VirtualClock())
    journal = Journal(MemoryStore(), lambda: None, sink)
    replies = AuditedReplies(journal)
    keys = Keys((KeyRun(UUIDS[:16], 32, KeyMaterial(bytes(32))),))
    for i in range(20):
        sae = SaeId(f"sae{i}")
        handover = Handover("dec_keys", "etsi014", sae, sae, (sae,), (), "bb84")
        replies.give(keys, {handover: keys.runs}, lambda answer: None)
        assert len(replies._beginnings) <= 4
    journal.flush()
    assert [record["sae"] for record in sink.records()] == [f"sae{i}" for i in range(20)]
