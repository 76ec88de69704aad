"""KMEs joined by a network that loses, repeats and reorders, on virtual time."""

import random
from collections.abc import Collection, Mapping
from functools import partial
from itertools import combinations, count

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.witness import WitnessKeeper
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.pair import PairOptions
from keyhop.network.psk.generations import NO_PSKS, Psks
from keyhop.service.kme_options import OtherDomains
from keyhop.service.policy import Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys, InsertKeys, Keys, VoidedKeys, VoidKeys
from keyhop.testing.kme import VirtualKme
from keyhop.testing.virtual import SeededEntropy, VirtualClock

TICK_S = 0.5


class VirtualNetwork:
    """Some KMEs and everything between them, two neighbours for instance. Deterministic for a seed.

    `links` join neighbours, the lower name first; by default every two of them.

    `loss` and `repeat` are the probabilities that a message is lost, or delivered once more later; messages overtake
    each other when `reorder` is set. `keepers` are the witnesses of those KMEs that have one, `abroad` what they know
    of other domains.
    """

    def __init__(
        self,
        home: Mapping[SaeId, KmeId],
        seed: int = 0,
        *,
        policy: Policy | None = None,
        options: PairOptions | None = None,
        keepers: Mapping[KmeId, WitnessKeeper] | None = None,
        links: Collection[tuple[KmeId, KmeId]] | None = None,
        feeder: FeederOptions | None = None,
        terms: Terms | None = None,
        abroad: Mapping[KmeId, OtherDomains] | None = None,
        psks: Mapping[KmeId, Psks] | None = None,
        clock: VirtualClock | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.clock = clock or VirtualClock()
        self.loss = self.repeat = 0.0
        self.reorder = False
        self.dead: set[KmeId] = set()
        """KMEs that hear and do nothing."""
        self._sequence = count()
        self._on_the_way: list[tuple[KmeId, KmeId, bytes]] = []
        names = tuple(sorted(set(home.values())))
        self.links = list(combinations(names, 2) if links is None else links)
        self.cut: set[tuple[KmeId, KmeId]] = set()
        """Links that bring nothing, as both ends know."""
        self.kmes = {
            name: VirtualKme(
                name,
                tuple(peer for peer in names if peer != name),
                home,
                self.clock,
                SeededEntropy(seed * 1000 + i),
                partial(self._send, name),
                policy or Policy(),
                options or PairOptions(),
                (keepers or {}).get(name),
                [b if a == name else a for a, b in self.links if name in (a, b)],
                feeder,
                terms,
                abroad=(abroad or {}).get(name),
                psks=(psks or {}).get(name, NO_PSKS),
            )
            for i, name in enumerate(names)
        }

    def _send(self, source: KmeId, target: KmeId, data: bytes) -> None:
        self._on_the_way.append((source, target, data))

    def produce(
        self,
        blocks: int = 1,
        size: int = 4096,
        *,
        only: KmeId | None = None,
        links: Collection[tuple[KmeId, KmeId]] | None = None,
        source: str = "virtual",
    ) -> None:
        """Every link that is not cut, or those of `links`, all of the kind `source`, produce blocks at both ends, or at
        one end only."""
        for left, right in [
            link for link in links or self.links if link not in self.cut and self.dead.isdisjoint(link)
        ] * blocks:
            sequence, data = next(self._sequence), self.random.randbytes(size)
            for me, peer in ((left, right), (right, left)):
                if only in (None, me):
                    self.kmes[me].link_block(peer, sequence, data, source)

    def flush(self) -> None:
        """Every KME makes durable what it has decided."""
        for kme in self.kmes.values():
            kme.journal.flush()

    def step(self) -> bool:
        """Delivers one message (or loses it); False when none is on the way."""
        self.flush()
        if not self._on_the_way:
            return False
        index = self.random.randrange(len(self._on_the_way)) if self.reorder else 0
        source, target, data = self._on_the_way[index]
        if self.random.random() >= self.repeat:
            del self._on_the_way[index]
        if self.random.random() >= self.loss and target not in self.dead:
            self.kmes[target].received(source, data)
        self.flush()
        return True

    def settle(self, limit: int = 10_000) -> None:
        """Delivers messages until none is on the way. Raises AssertionError if that does not end."""
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError("the network does not come to rest")

    def pass_time(self, seconds: float) -> None:
        """Moves time on in ticks, delivering what is sent."""
        for _ in range(max(1, round(seconds / TICK_S))):
            self.clock.advance(TICK_S)
            for name, kme in self.kmes.items():
                if name not in self.dead:
                    kme.tick()
            self.settle()

    def get_key(self, kme: KmeId, request: GetKey) -> list[Keys | KeyhopError]:
        """Asks; the answer is appended to the list when it comes."""
        answers: list[Keys | KeyhopError] = []
        self.kmes[kme].delivery.get_key(request, answers.append)
        return answers

    def get_key_with_ids(self, kme: KmeId, request: GetKeyWithIds) -> list[Keys | KeyhopError]:
        """Asks; the answer is appended to the list when it comes."""
        answers: list[Keys | KeyhopError] = []
        self.kmes[kme].delivery.get_key_with_ids(request, answers.append)
        return answers

    def insert_keys(self, kme: KmeId, request: InsertKeys) -> list[InsertedKeys | KeyhopError]:
        """Asks; the answer is appended to the list when it comes."""
        answers: list[InsertedKeys | KeyhopError] = []
        self.kmes[kme].delivery.insert_keys(request, answers.append)
        return answers

    def void_keys(self, kme: KmeId, request: VoidKeys) -> list[VoidedKeys | KeyhopError]:
        """Asks; the answer is appended to the list when it comes."""
        answers: list[VoidedKeys | KeyhopError] = []
        self.kmes[kme].delivery.void_keys(request, answers.append)
        return answers
