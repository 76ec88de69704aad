"""Three KMEs in a line, alice and carol without a link, and a master that brings keys and voids keys."""

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys, InsertKeys, Keys, VoidedKeys, VoidKeys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL = map(KmeId, ("alice", "bob", "carol"))
A, A2, B, B2, C = map(SaeId, ("a", "a2", "b", "b2", "c"))
HOME = {A: ALICE, A2: ALICE, B: BOB, B2: BOB, C: CAROL}
OWN_ID = bytes.fromhex("0190d3c8f1a27abc9def0123456789ab")
"""A UUID of version 7."""
KEYS = bytes(range(64))


class Line(VirtualNetwork):
    """SAEs a and a2 are alice's, b and b2 bob's, c carol's. There is key on both links."""

    def __init__(self, policy: Policy | None = None, *, seed: int = 1) -> None:
        policy = policy or Policy(PairPolicy(wait_s=5.0))
        super().__init__(HOME, seed, policy=policy, links=((ALICE, BOB), (BOB, CAROL)))
        self.settle()
        self.produce(32)
        self.pass_time(3.0)

    def ask(self, request: InsertKeys | VoidKeys | GetKey, seconds: float = 2.0) -> object:
        """The answer to one request of a master."""
        kme = HOME[request.master]
        answers: list[InsertedKeys | KeyhopError] | list[VoidedKeys | KeyhopError] | list[Keys | KeyhopError]
        if isinstance(request, InsertKeys):
            answers = self.insert_keys(kme, request)
        elif isinstance(request, VoidKeys):
            answers = self.void_keys(kme, request)
        else:
            answers = self.get_key(kme, request)
        self.settle()
        self.pass_time(seconds)
        (answer,) = answers
        return answer

    def inserted(self, request: InsertKeys) -> bytes:
        """The IDs of keys that a master brought."""
        answer = self.ask(request)
        assert isinstance(answer, InsertedKeys), answer
        return answer.ids

    def made(self, request: GetKey) -> bytes:
        """The IDs of keys that a master asked for."""
        answer = self.ask(request)
        assert isinstance(answer, Keys), answer
        return b"".join(run.ids for run in answer.runs)

    def voided(self, request: VoidKeys) -> tuple[bool, ...]:
        """Which of the keys were voided."""
        answer = self.ask(request)
        assert isinstance(answer, VoidedKeys), answer
        assert answer.ids == request.ids
        return answer.voided

    def fetch(self, slave: SaeId, ids: bytes, master: SaeId = A) -> bytes | KeyhopError:
        """What a slave gets for IDs."""
        answers = self.get_key_with_ids(HOME[slave], GetKeyWithIds(slave, master, ids))
        self.settle()
        (answer,) = answers
        return b"".join(run.material.reveal() for run in answer.runs) if isinstance(answer, Keys) else answer


def own(*slaves: SaeId, keys: bytes = KEYS, size: int = 32, ids: bytes = b"", master: SaeId = A) -> InsertKeys:
    """A request with the master's own keys."""
    return InsertKeys(master, slaves[0], KeyMaterial(keys), size, ids, slaves[1:])
