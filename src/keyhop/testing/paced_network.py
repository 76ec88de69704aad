"""A virtual network whose links bring key at the rates of real ones."""

from collections.abc import Callable, Mapping

from keyhop.core.ids import KmeId, SaeId
from keyhop.network.pair import PairOptions
from keyhop.service.policy import Policy
from keyhop.testing.network import VirtualNetwork

STEP_S = 0.1
"""As often as a node ticks."""

type Link = tuple[KmeId, KmeId]
"""The lower name first."""


class PacedNetwork:
    """`rates` tells the bytes a second of each link, which come in blocks of one size."""

    def __init__(
        self,
        home: Mapping[SaeId, KmeId],
        rates: Mapping[Link, float],
        block_bytes: int,
        *,
        policy: Policy | None = None,
        options: PairOptions | None = None,
    ) -> None:
        self._rates = rates
        self._block_bytes = block_bytes
        self._brought = dict.fromkeys(rates, 0.0)
        self.network = VirtualNetwork(home, links=list(rates), policy=policy, options=options)
        self.network.settle()

    def live(self, seconds: float, act: Callable[[], None]) -> None:
        """Time passes; in each step, once links have brought something and all KMEs have ticked, `act` is called."""
        network = self.network
        for _ in range(round(seconds / STEP_S)):
            network.clock.advance(STEP_S)
            for link, rate in self._rates.items():
                self._brought[link] += rate * STEP_S
                blocks, self._brought[link] = divmod(self._brought[link], self._block_bytes)
                network.produce(int(blocks), self._block_bytes, links=[link])
            for kme in network.kmes.values():
                kme.tick()
            act()
            network.settle(1_000_000)

    def cut(self, link: Link) -> None:
        """That link brings nothing from now on, and its ends know it."""
        self.network.cut.add(link)
        self._tell(link, generating=False)

    def mend(self, link: Link) -> None:
        """It brings key again."""
        self.network.cut.remove(link)
        self._tell(link, generating=True)

    def _tell(self, link: Link, *, generating: bool) -> None:
        for me, peer in (link, link[::-1]):
            self.network.kmes[me].peers[peer].neighbour.generating = generating
