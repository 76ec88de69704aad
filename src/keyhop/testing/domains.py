"""Two domains of two KMEs each, joined by ETSI GS QKD 020 at one KME of each, on virtual time.

alice ── west ══ east ── bob        `west` and `east` are the gateways
"""

from collections.abc import Callable
from functools import partial

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.service.etsi020.calls import Answer, Call, Reply
from keyhop.service.etsi020.interchange import Other
from keyhop.service.etsi020.problems import Problem
from keyhop.service.gateway import Joint
from keyhop.service.kme import OtherDomains
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import TICK_S, VirtualNetwork
from keyhop.testing.virtual import VirtualClock

ALICE, WEST, EAST, BOB = map(KmeId, ("alice", "west", "east", "bob"))


class TwoDomains:
    """SAEs that begin with `a` are at alice, `w` at west, `e` at east, `b` at bob.

    `cut`: no call gets through. Calls and answers between the gateways take `one_way_s`.
    """

    def __init__(self, *saes: str, one_way_s: float = 0.0) -> None:
        self.clock = VirtualClock()
        self.cut = False
        self._one_way_s = one_way_s
        self.lose_answers: list[str] = []
        self._on_the_way: list[tuple[float, Callable[[], None]]] = []
        self.homes = {SaeId(sae): {"a": ALICE, "w": WEST, "e": EAST, "b": BOB}[sae[0]] for sae in saes}
        self.west = self._network((ALICE, WEST), ("e*", "b*"), EAST, 1)
        self.east = self._network((BOB, EAST), ("a*", "w*"), WEST, 2)
        for network in (self.west, self.east):
            network.settle()
            network.produce(16)
        self.pass_time(3.0)

    def _network(self, kmes: tuple[KmeId, KmeId], foreign: tuple[str, ...], other: KmeId, seed: int) -> VirtualNetwork:
        gateway = kmes[1]
        home = {sae: kme if kme in kmes else gateway for sae, kme in self.homes.items()}

        def is_foreign(sae: SaeId) -> bool:
            return self.homes.get(sae) not in (*kmes, None)

        callback = f"https://{gateway}/kmapi/v1/ext_keys/ack"
        joint = Joint(Other(other, (f"https://{other}",), callback), foreign)
        abroad = {
            kmes[0]: OtherDomains(foreign=is_foreign),
            gateway: OtherDomains((joint,), is_foreign, partial(self._called, gateway)),
        }
        return VirtualNetwork(home, seed, policy=Policy(PairPolicy(wait_s=5.0)), abroad=abroad, clock=self.clock)

    def network(self, kme: KmeId) -> VirtualNetwork:
        """The domain of a KME."""
        return self.west if kme in (ALICE, WEST) else self.east

    def settle(self) -> None:
        """Until nothing can happen any more before time passes."""
        for _ in range(1000):
            if not self.step():
                return
        raise AssertionError("the domains do not come to rest")

    def step(self) -> bool:
        """Both domains come to rest, then one call or answer arrives; whether there was one that could."""
        for network in (self.west, self.east):
            network.settle()
        if not self._on_the_way or self._on_the_way[0][0] > self.clock.monotonic():
            return False
        self._on_the_way.pop(0)[1]()
        return True

    def pass_time(self, seconds: float, step_s: float = TICK_S) -> None:
        """Time passes everywhere, in steps."""
        for _ in range(max(1, round(seconds / step_s))):
            self.clock.advance(step_s)
            for network in (self.west, self.east):
                for kme in network.kmes.values():
                    kme.tick()
            self.settle()

    def get_key(self, request: GetKey) -> list[Keys | KeyhopError]:
        """Asks the master's KME; the answer is appended when it comes."""
        kme = self.homes[request.master]
        return self.network(kme).get_key(kme, request)

    def get_key_with_ids(self, request: GetKeyWithIds) -> list[Keys | KeyhopError]:
        """Asks the slave's KME."""
        kme = self.homes[request.slave]
        answers = self.network(kme).get_key_with_ids(kme, request)
        self.settle()
        return answers

    def _called(self, caller: KmeId, kms: KmeId, call: Call) -> None:
        self._send(lambda: self._arrive(caller, kms, call))

    def _send(self, arrive: Callable[[], None]) -> None:
        self._on_the_way.append((self.clock.monotonic() + self._one_way_s, arrive))

    def _arrive(self, caller: KmeId, kms: KmeId, call: Call) -> None:
        path = call.target.removeprefix(f"https://{kms}")
        if self.cut:
            call.answered(None)
            return

        def respond(answer: Answer | Problem) -> None:
            body = answer.document() if isinstance(answer, Problem) else answer.body
            reply: Reply | None = Reply(answer.status, body)
            if path in self.lose_answers:
                self.lose_answers.remove(path)
                reply = None
            self._send(lambda: call.answered(reply))

        gateway = self.network(kms).kmes[kms].kme.gateway
        gateway[caller].handle(call.method, path, call.body or b"", respond)
