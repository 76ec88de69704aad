"""Domains that are joined by ETSI GS QKD 020 at some of their KMEs, on virtual time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.feeder.options import FeederOptions
from keyhop.service.etsi020.calls import REACHED, Answer, Call, Reply
from keyhop.service.etsi020.interchange import Other
from keyhop.service.etsi020.problems import Problem
from keyhop.service.foreign import ForeignSaes
from keyhop.service.gateway import Joint
from keyhop.service.kme_options import OtherDomains
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys, InsertKeys, Keys, VoidedKeys, VoidKeys
from keyhop.testing.network import TICK_S, VirtualNetwork
from keyhop.testing.virtual import VirtualClock

ALICE, WEST, EAST, BOB = map(KmeId, ("alice", "west", "east", "bob"))


@dataclass(frozen=True)
class Domain:
    """Some KMEs, and the SAEs behind each KMS that one of them is joined to.

    `links` join two KMEs each; None: all. `per_domain` is what the operator says of all other domains.
    """

    kmes: tuple[KmeId, ...]
    ways: Mapping[KmeId, Mapping[KmeId, tuple[str, ...]]]
    links: tuple[tuple[KmeId, KmeId], ...] | None = None
    policy: Policy | None = None
    feeder: FeederOptions | None = None
    blocks: int = 16
    per_domain: bool = False


class Domains:
    """`homes` are the KMEs of all SAEs. `cut`: no call gets through. Calls and answers take `one_way_s`."""

    def __init__(self, homes: Mapping[SaeId, KmeId], *domains: Domain, one_way_s: float = 0.0) -> None:
        self.clock = VirtualClock()
        self.cut = False
        self.homes = homes
        self.lose_answers: list[str] = []
        self._one_way_s = one_way_s
        self._on_the_way: list[tuple[float, Callable[[], None]]] = []
        self.networks = [self._network(domain, seed) for seed, domain in enumerate(domains, 1)]
        for network, domain in zip(self.networks, domains, strict=True):
            network.settle()
            network.produce(domain.blocks)
        self.pass_time(3.0)

    def _network(self, domain: Domain, seed: int) -> VirtualNetwork:
        ways = [(name, gateway) for gateway, kmss in domain.ways.items() for names in kmss.values() for name in names]
        foreign = ForeignSaes(ways)
        local = {sae: kme if kme in domain.kmes else foreign.way_to(sae) for sae, kme in self.homes.items()}

        def is_foreign(sae: SaeId) -> bool:
            return self.homes.get(sae) not in domain.kmes and foreign.way_to(sae) is not None

        def joints(gateway: KmeId) -> tuple[Joint, ...]:
            callback = f"https://{gateway}/kmapi/v1/ext_keys/ack"
            beyond = domain.ways.get(gateway, {}).items()
            return tuple(Joint(Other(kms, (f"https://{kms}",), callback), names) for kms, names in beyond)

        return VirtualNetwork(
            {sae: kme for sae, kme in local.items() if kme is not None},
            seed,
            policy=domain.policy or Policy(PairPolicy(wait_s=5.0)),
            links=domain.links,
            feeder=domain.feeder,
            abroad={
                kme: OtherDomains(joints(kme), is_foreign, partial(self._called, kme), lambda sae: domain.per_domain)
                for kme in domain.kmes
            },
            clock=self.clock,
        )

    def network(self, kme: KmeId) -> VirtualNetwork:
        """The domain of a KME."""
        return next(network for network in self.networks if kme in network.kmes)

    def settle(self) -> None:
        """Until nothing can happen any more before time passes."""
        for _ in range(1000):
            if not self.step():
                return
        raise AssertionError("the domains do not come to rest")

    def step(self) -> bool:
        """All domains come to rest, then one call or answer arrives; whether there was one that could."""
        for network in self.networks:
            network.settle()
            network.flush()  # what came of the last flush, although nothing is on its way
        if not self._on_the_way or self._on_the_way[0][0] > self.clock.monotonic():
            return False
        self._on_the_way.pop(0)[1]()
        return True

    def pass_time(self, seconds: float, step_s: float = TICK_S) -> None:
        """Time passes everywhere, in steps."""
        for _ in range(max(1, round(seconds / step_s))):
            self.clock.advance(step_s)
            for network in self.networks:
                for kme in network.kmes.values():
                    kme.tick()
            self.settle()

    def get_key(self, request: GetKey) -> list[Keys | KeyhopError]:
        """Asks the master's KME; the answer is appended when it comes."""
        kme = self.homes[request.master]
        return self.network(kme).get_key(kme, request)

    def insert_keys(self, request: InsertKeys) -> list[InsertedKeys | KeyhopError]:
        """The same."""
        kme = self.homes[request.master]
        return self.network(kme).insert_keys(kme, request)

    def void_keys(self, request: VoidKeys) -> list[VoidedKeys | KeyhopError]:
        """The same."""
        kme = self.homes[request.master]
        return self.network(kme).void_keys(kme, request)

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
        if self.cut or call.method is None:
            call.answered(None if self.cut else REACHED)
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


class TwoDomains(Domains):
    """alice ── west ══ east ── bob: SAEs that begin with `a` are at alice, `w` at west, `e` at east, `b` at bob."""

    def __init__(self, *saes: str, one_way_s: float = 0.0) -> None:
        homes = {SaeId(sae): {"a": ALICE, "w": WEST, "e": EAST, "b": BOB}[sae[0]] for sae in saes}
        super().__init__(
            homes,
            Domain((ALICE, WEST), {WEST: {EAST: ("e*", "b*")}}),
            Domain((BOB, EAST), {EAST: {WEST: ("a*", "w*")}}),
            one_way_s=one_way_s,
        )
        self.west, self.east = self.networks
