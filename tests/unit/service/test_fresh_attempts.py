"""Keys that are relayed on demand and go astray: nodes of the way that failed know nothing of those that arrive."""

import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.network import wire
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.relay.hop import Hop
from keyhop.network.relay.messages import SECRET_HEAD_BYTES, Announce, RecordsPayload
from keyhop.service.courier import ATTEMPT_S
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.service.undoing import LATE_S
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL, DAVE = map(KmeId, ("alice", "bob", "carol", "dave"))
A, D = SaeId("a"), SaeId("d")
HOME = {A: ALICE, SaeId("b"): BOB, SaeId("c"): CAROL, D: DAVE}
LINKS = ((ALICE, BOB), (BOB, DAVE), (ALICE, CAROL), (CAROL, DAVE))


class Diamond(VirtualNetwork):
    """Two ways from alice to dave. Whoever is on the first one that is taken keeps what he should forward."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        policy = Policy(PairPolicy(wait_s=3.0))
        super().__init__(HOME, 1, policy=policy, links=LINKS, feeder=FeederOptions("on-demand"))
        self.kept: list[tuple[Hop, tuple[object, ...], bytes]] = []
        self.announced: list[bytes] = []
        """The IDs in each parcel."""
        self.depart = depart = Hop._depart

        def keep(hop: Hop, *what: object) -> None:
            data = what[-2]
            assert isinstance(data, KeyMaterial)
            if not self.kept or self.kept[0][0] is hop:
                self.kept.append((hop, what, data.reveal()[SECRET_HEAD_BYTES:]))
            else:
                depart(hop, *what)  # type: ignore[arg-type]

        patch.setattr(Hop, "_depart", keep)
        self.settle()
        self.produce(8)
        for _ in range(3):
            self.pass_time(1.0)

    def _send(self, source: KmeId, target: KmeId, data: bytes) -> None:
        body = wire.decode(data).body
        if isinstance(body, Announce) and isinstance(body.payload, RecordsPayload):
            self.announced += [] if body.payload.ids in self.announced else [body.payload.ids]
        super()._send(source, target, data)

    def enc(self, number: int = 1) -> Keys:
        answers = self.get_key(ALICE, GetKey(A, D, number))
        while not answers:
            self.pass_time(ATTEMPT_S)
        assert isinstance(answers[0], Keys), answers[0]
        return answers[0]

    def dec(self, keys: Keys) -> Keys:
        answers = self.get_key_with_ids(DAVE, GetKeyWithIds(D, A, keys.runs[0].ids))
        self.pass_time(2.0)
        assert isinstance(answers[0], Keys), answers[0]
        return answers[0]


def bytes_of(keys: Keys) -> bytes:
    return b"".join(run.material.reveal() for run in keys.runs)


@pytest.fixture
def diamond(monkeypatch: pytest.MonkeyPatch) -> Diamond:
    return Diamond(monkeypatch)


def test_a_node_on_the_way_that_failed_does_not_know_the_key(diamond: Diamond) -> None:
    keys = diamond.enc(2)
    (_, _, seen), *_ = diamond.kept
    assert len(seen) == 64
    assert seen != bytes_of(keys)
    assert len(diamond.announced) == 2
    assert diamond.announced[1] == b"".join(run.ids for run in keys.runs), "no ID is for two keys"
    assert bytes_of(diamond.dec(keys)) == bytes_of(keys)


def test_what_arrives_late_on_the_way_that_failed_goes_again(diamond: Diamond) -> None:
    keys = diamond.enc()
    (hop, what, _), *_ = diamond.kept
    diamond.depart(hop, *what)  # type: ignore[arg-type]
    diamond.settle()
    diamond.pass_time(LATE_S + 2.0)
    dave, alice = diamond.kmes[DAVE].records, diamond.kmes[ALICE].records
    assert (len(dave), len(alice.outgoing)) == (1, 0)
    assert bytes_of(diamond.dec(keys)) == bytes_of(keys)
    assert len(dave) == 0


def test_the_audit_record_names_the_way_that_the_key_took(diamond: Diamond) -> None:
    diamond.enc()
    (handed,) = [record for record in diamond.kmes[ALICE].audit.records() if record.get("call") == "enc_keys"]
    assert len(handed["paths"]) == 1
    assert diamond.kept[0][0]._nodes.me not in handed["paths"][0]
