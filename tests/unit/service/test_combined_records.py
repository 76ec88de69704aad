"""Keys of records that are combined with ML-KEM: for several slaves, brought by their master, relayed on demand."""

from collections.abc import Callable

import msgspec
import pytest

from keyhop.core.errors import BadRequest, KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.xor import xor
from keyhop.network import wire
from keyhop.network.arrivals import NOT_THESE
from keyhop.network.carriage import Batch
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.hybrid import agreeing, kept
from keyhop.network.hybrid.messages import OfHybrid
from keyhop.network.hybrid.records import Masked
from keyhop.network.pair import PairOptions
from keyhop.network.relay.messages import Announce, RecordsPayload, Strategy
from keyhop.network.sealing import MAC_KEY_BYTES, place_of
from keyhop.service.etsi014.encode import encode_keys
from keyhop.service.kme_options import KmeOptions
from keyhop.service.policy import Hybrid, PairPolicy, Policy, Rule
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys, InsertKeys, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")
A, A2, B, C, C2 = SaeId("a"), SaeId("a2"), SaeId("b"), SaeId("c"), SaeId("c2")
HOME = {A: ALICE, A2: ALICE, B: BOB, C: CAROL, C2: CAROL}
OPTIONS = PairOptions(reserved_bytes_per_pair=0, hybrid=True)
NAMES = {"xor": "mlkem768-xor-v1", "kdf": "mlkem768-kdf-v1"}
LINE = ((ALICE, BOB), (BOB, CAROL))


def policy(hybrid: Hybrid, slave: str = "*", *more: Rule) -> Policy:
    return Policy(PairPolicy(wait_s=2.0), rules=(Rule("a", slave, {"hybrid": hybrid}), *more))


class Net(VirtualNetwork):
    """Three KMEs. Keeps what was sent, and alters what a test wants altered."""

    def __init__(
        self, rules: Policy, links: tuple[tuple[KmeId, KmeId], ...] | None = None, strategy: Strategy = "hop-by-hop"
    ) -> None:
        self.sent: list[wire.Body] = []
        self.alter: Callable[[wire.Body], wire.Body] = lambda body: body
        on_demand = None if links is None else FeederOptions(buffering="on-demand")
        terms = Terms(strategy=strategy)
        super().__init__(HOME, 1, policy=rules, options=OPTIONS, links=links, feeder=on_demand, terms=terms)
        self.settle()
        self.produce(16)
        self.pass_time(3.0)

    def _send(self, source: KmeId, target: KmeId, data: bytes) -> None:
        envelope = wire.decode(data)
        self.sent.append(envelope.body)
        altered = msgspec.structs.replace(envelope, body=self.alter(envelope.body))
        super()._send(source, target, wire.encode(altered))

    def set_policy(self, kme: KmeId, rules: Policy) -> None:
        self.kmes[kme].kme.reconfigure(KmeOptions(rules, OPTIONS))

    def ask(self, request: GetKey) -> Keys | KeyhopError:
        answers = self.get_key(ALICE, request)
        self.settle()
        self.pass_time(4.0)
        (answer,) = answers
        return answer

    def fetch(self, slave: SaeId, ids: bytes, master: SaeId = A) -> Keys | KeyhopError:
        answers = self.get_key_with_ids(HOME[slave], GetKeyWithIds(slave, master, ids))
        self.settle()
        (answer,) = answers
        return answer

    def insert(self, request: InsertKeys) -> InsertedKeys | KeyhopError:
        answers = self.insert_keys(ALICE, request)
        self.settle()
        (answer,) = answers
        return answer

    def combined(self) -> list[Masked]:
        """What was said of ML-KEM along with records."""
        found = [body.combined for body in self.sent if isinstance(body, wire.Carry)]
        payloads = [body.payload for body in self.sent if isinstance(body, Announce)]
        found += [payload.combined for payload in payloads if isinstance(payload, RecordsPayload)]
        return [each for each in found if each is not None]


def got(answer: Keys | KeyhopError) -> Keys:
    assert isinstance(answer, Keys), answer
    return answer


def material(keys: Keys) -> bytes:
    return b"".join(run.material.reveal() for run in keys.runs)


@pytest.mark.parametrize("hybrid", ["xor", "kdf"])
@pytest.mark.parametrize("number", [1, 7])
def test_slaves_at_several_kmes_get_the_same_combined_keys(hybrid: Hybrid, number: int) -> None:
    net = Net(policy(hybrid))
    net.sent.clear()
    keys = got(net.ask(GetKey(A, B, number, 264, additional_slaves=(C, C2, A2))))
    said = net.combined()
    assert [each.combiner for each in said] == [NAMES[hybrid]] * 2
    assert len({each.check for each in said}) == len({each.masked for each in said}) == 2
    for end in (keys, *(got(net.fetch(slave, keys.runs[0].ids)) for slave in (B, C, C2, A2))):
        assert material(end) == material(keys)
        assert {run.mark for run in end.runs} == {NAMES[hybrid]}
        assert encode_keys(end).count(b'"keyhop_combiner":"%b"' % NAMES[hybrid].encode()) == number
    for kme in net.kmes.values():
        sources = {record["source"] for record in kme.audit.records() if "keys" in record}
        assert sources == {f"kme, {NAMES[hybrid]}"}


@pytest.mark.parametrize("hybrid", ["none", "xor", "kdf"])
def test_who_has_all_pads_has_no_combined_key(hybrid: Hybrid) -> None:
    net = Net(policy(hybrid))
    followed, opened = net.kmes[BOB].peers[ALICE].neighbour.followed, list[bytes]()

    def listen(body: wire.Body) -> wire.Body:
        if isinstance(body, wire.Carry) and SaeId(body.slaves[0]) == B:
            pad = followed.peek(place_of(body, len(body.sealed)))
            opened.append(xor(body.sealed, pad[MAC_KEY_BYTES:]))
        return body

    net.alter = listen
    keys = got(net.ask(GetKey(A, B, additional_slaves=(C,))))
    assert (opened == [material(keys)]) == (hybrid == "none")


def test_one_slave_that_wants_it_has_it_wanted_for_all() -> None:
    net = Net(policy("xor", "c"))
    keys = got(net.ask(GetKey(A, B, additional_slaves=(C,))))
    for slave in (B, C):
        assert got(net.fetch(slave, keys.runs[0].ids)).runs[0].mark == NAMES["xor"]
    plain = got(net.ask(GetKey(A, B, additional_slaves=(A2,))))
    assert got(net.fetch(B, plain.runs[0].ids)).runs[0].mark is None


def test_slaves_that_want_different_ways_cannot_share_a_key() -> None:
    net = Net(policy("xor", "*", Rule("a", "c", {"hybrid": "kdf"})))
    refusal = net.ask(GetKey(A, B, additional_slaves=(C,)))
    assert isinstance(refusal, BadRequest)
    assert refusal.message == "for SAEs b and c keys are combined with ML-KEM in different ways"


@pytest.mark.parametrize("mine", ["none", "kdf"])
def test_a_slaves_kme_gives_out_no_key_that_was_made_otherwise(mine: Hybrid) -> None:
    net = Net(policy(mine))
    keys = got(net.ask(GetKey(A, B, additional_slaves=(C,))))
    net.set_policy(BOB, policy("xor"))
    assert isinstance(net.fetch(B, keys.runs[0].ids), Unauthorised)
    net.set_policy(BOB, policy(mine))
    assert material(got(net.fetch(B, keys.runs[0].ids))) == material(keys)


def test_keys_of_one_kme_stay_there_and_are_not_combined() -> None:
    net = Net(policy("kdf"))
    keys = got(net.ask(GetKey(A, A2)))
    assert keys.runs[0].mark is None
    assert material(got(net.fetch(A2, keys.runs[0].ids))) == material(keys)


def test_without_an_ml_kem_secret_with_one_of_the_kmes_there_is_no_key() -> None:
    net = Net(policy("kdf"))
    net.alter = lambda body: wire.Hello(1) if isinstance(body, OfHybrid) else body
    net.kmes[ALICE].crash()  # its secrets were in memory
    net.pass_time(2.0)
    net.produce(4)
    refusal = net.ask(GetKey(A, B, additional_slaves=(C,)))
    assert isinstance(refusal, Unavailable)
    assert refusal.message == "no ML-KEM secret is agreed on with KME bob yet"


FORGERIES: dict[str, Callable[[Masked], Masked | None]] = {
    "without": lambda masked: None,
    "another combiner": lambda masked: msgspec.structs.replace(masked, combiner="mlkem768-xor-v1"),
    "another secret": lambda masked: msgspec.structs.replace(masked, check=bytes(16)),
    "another mask": lambda masked: msgspec.structs.replace(masked, masked=masked.masked[::-1]),
}


@pytest.mark.parametrize("how", FORGERIES)
@pytest.mark.parametrize("relayed", [False, True])
def test_a_message_that_was_altered_or_downgraded_on_its_way_makes_no_key(how: str, *, relayed: bool) -> None:
    def alter(body: wire.Body) -> wire.Body:
        match body:
            case wire.Carry(combined=Masked() as masked):
                return msgspec.structs.replace(body, combined=FORGERIES[how](masked))
            case Announce(payload=RecordsPayload(combined=Masked() as masked) as payload):
                altered = msgspec.structs.replace(payload, combined=FORGERIES[how](masked))
                return msgspec.structs.replace(body, payload=altered)
        return body

    net = Net(policy("kdf"), LINE if relayed else None)
    request = GetKey(A, C) if relayed else GetKey(A, B, additional_slaves=(C,))
    net.alter = alter
    assert isinstance(net.ask(request), Unavailable)
    assert all(not kme.records for kme in net.kmes.values())
    net.alter = lambda body: body
    got(net.ask(request))


def test_a_message_that_comes_again_brings_its_records_once() -> None:
    net = Net(policy("kdf"))
    net.repeat = 0.5
    keys = got(net.ask(GetKey(A, B, additional_slaves=(C,))))
    for slave in (B, C):
        assert material(got(net.fetch(slave, keys.runs[0].ids))) == material(keys)
        assert isinstance(net.fetch(slave, keys.runs[0].ids), BadRequest)


def test_what_a_hostile_kme_sends_that_cannot_be_combined_is_refused() -> None:
    """Its secret is not here, or it is larger than what HKDF can make."""
    net = Net(policy("kdf"))
    pair = net.kmes[ALICE].peers[BOB].neighbour
    taken: list[str | None] = []
    agreed = net.kmes[ALICE].peers[BOB].secret
    assert agreed is not None
    masked = Masked("mlkem768-kdf-v1", agreed.check, bytes(32))
    ids = bytes.fromhex("00000000000040008000000000000001")
    unknown = msgspec.structs.replace(masked, check=bytes(16))
    for number, (size, combined) in enumerate(((8161, masked), (32, unknown), (8160, masked))):
        batch = Batch(number.to_bytes(16), "kme", A, (B,), ids, KeyMaterial(bytes(size)), None, combined)
        pair.carriage.carry(batch, net.clock.monotonic() + 5, taken.append)
        net.settle()
        net.produce(8)
        net.pass_time(1.0)
    assert taken == [NOT_THESE, NOT_THESE, None]


def test_a_master_may_bring_keys_that_are_combined_by_xor() -> None:
    net = Net(policy("xor"))
    own = bytes(range(64))
    inserted = net.insert(InsertKeys(A, B, KeyMaterial(own), 32, additional_slaves=(C,)))
    assert isinstance(inserted, InsertedKeys)
    assert [each.combiner for each in net.combined()] == [NAMES["xor"]] * 2
    for slave in (B, C):
        fetched = got(net.fetch(slave, inserted.ids))
        assert material(fetched) == own
        assert {run.mark for run in fetched.runs} == {NAMES["xor"]}
    for kme in net.kmes.values():
        assert {r["source"] for r in kme.audit.records() if "keys" in r} == {f"sae, {NAMES['xor']}"}


def test_nobody_brings_a_key_that_a_kdf_would_have_to_make() -> None:
    net = Net(policy("kdf"))
    refusal = net.insert(InsertKeys(A, B, KeyMaterial(bytes(32)), 32))
    assert isinstance(refusal, BadRequest)
    assert refusal.message == "for SAE b a KDF makes keys out of ML-KEM and others, so none can be brought"


@pytest.mark.parametrize("strategy", ["hop-by-hop", "xor-at-destination"])
@pytest.mark.parametrize("hybrid", ["xor", "kdf"])
def test_keys_that_are_relayed_on_demand_are_combined(hybrid: Hybrid, strategy: Strategy) -> None:
    """No stream leads to carol: the secret is agreed on all the same."""
    net = Net(policy(hybrid), LINE, strategy)
    assert net.kmes[ALICE].peers[CAROL].relayed.owned.key_ids is None
    keys = got(net.ask(GetKey(A, C, 2)))
    theirs = got(net.fetch(C, keys.runs[0].ids))
    assert material(theirs) == material(keys)
    assert {run.mark for end in (keys, theirs) for run in end.runs} == {NAMES[hybrid]}
    assert [each.combiner for each in net.combined()] == [NAMES[hybrid]]


def test_an_old_secret_of_a_stream_that_never_held_anything_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreeing, "RENEW_S", 5.0)
    monkeypatch.setattr(kept, "SETTLED_S", 2.0)
    net = Net(policy("xor"), LINE)
    net.pass_time(60.0)
    assert len(net.kmes[CAROL].peers[ALICE].relayed.hybrid.kept) <= 2
    keys = got(net.ask(GetKey(A, C)))
    assert material(got(net.fetch(C, keys.runs[0].ids))) == material(keys)


def test_a_combined_key_outlives_a_crash_of_its_slaves_kme() -> None:
    net = Net(policy("kdf"))
    keys = got(net.ask(GetKey(A, B, additional_slaves=(C,))))
    net.kmes[BOB].crash()
    net.pass_time(2.0)
    fetched = got(net.fetch(B, keys.runs[0].ids))
    assert (material(fetched), fetched.runs[0].mark) == (material(keys), NAMES["kdf"])
