"""The twelve KMEs of `metro` in their first seconds, while links have not filled their stocks yet: two SAEs of any two
sites share a key soon, whatever others ask for and whichever link is cut.
"""

import random
from functools import partial
from itertools import permutations

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.lab import load_topology
from keyhop.network.pair import PairOptions
from keyhop.service.requests import GetKey, KeyReply, Keys
from keyhop.testing.paced_network import STEP_S, Link, PacedNetwork

SERVED_WITHIN_S = 5.0
GIVEN_UP_S = 60.0
BEGIN_S = 4.0
"""Until every two sites know each other, and most streams hold something."""
BLOCK_BYTES = 8192
SIZES_BITS = (64, 256, 1000, 8192)
NUMBERS = (1, 1, 2, 20)
A_SECOND = 4
"""So often some SAE of a site asks for some keys."""


class City:
    """SAEs 1 and 2 of each site ask for a key of 256 bits until they get it, the others for all sorts of keys."""

    def __init__(self, seed: int) -> None:
        topology = load_topology("metro")
        self._draw = random.Random(seed)
        self._sites = topology.kme_ids()
        home = {SaeId(sae.id): KmeId(sae.kme) for sae in topology.all_saes()}
        self.links: dict[Link, float] = {
            (KmeId(min(link.ends)), KmeId(max(link.ends))): float(link.options["rate_bps"]) / 8
            for link in topology.links
        }
        self.paced = PacedNetwork(home, self.links, BLOCK_BYTES, options=PairOptions(stock_bytes=1 << 20))
        self._unserved: set[tuple[str, str]] = set()
        self._refused: list[tuple[str, str]] = []
        self.paced.live(BEGIN_S, self._work)

    def longest(self) -> float:
        """Seconds until every two sites have shared a key; whoever is refused asks again."""
        self._unserved = set(permutations(self._sites, 2))
        self._refused, waited = sorted(self._unserved), 0.0
        while self._unserved and waited < GIVEN_UP_S:
            self.paced.live(STEP_S, self._work)
            waited += STEP_S
        return waited

    def _answered(self, ends: tuple[str, str], answer: Keys | KeyhopError) -> None:
        if isinstance(answer, Keys):
            self._unserved.discard(ends)
        else:
            self._refused.append(ends)

    def _work(self) -> None:
        draw = self._draw
        refused, self._refused = self._refused, []
        for ends in refused:
            self._get_key(f"{ends[0]}-1", f"{ends[1]}-2", 1, 256, partial(self._answered, ends))
        for site in self._sites:
            if draw.random() < A_SECOND * STEP_S:
                other = draw.choice([each for each in self._sites if each != site])
                master, slave = f"{site}-{draw.randrange(3, 15)}", f"{other}-{draw.randrange(3, 15)}"
                self._get_key(master, slave, draw.choice(NUMBERS), draw.choice(SIZES_BITS), lambda answer: None)

    def _get_key(self, master: str, slave: str, number: int, size_bits: int, reply: KeyReply) -> None:
        request = GetKey(SaeId(master), SaeId(slave), number, size_bits)
        self.paced.network.kmes[KmeId(master.rpartition("-")[0])].delivery.get_key(request, reply)


def test_two_saes_of_any_two_sites_share_a_key_within_seconds_of_the_start() -> None:
    city = City(1)
    assert city.longest() <= SERVED_WITHIN_S


def test_a_link_that_is_cut_in_the_first_seconds_is_gone_around_as_soon() -> None:
    city = City(2)
    for link in random.Random(2).sample(sorted(city.links), 6):
        city.paced.cut(link)
        assert city.longest() <= SERVED_WITHIN_S, link
        city.paced.mend(link)
