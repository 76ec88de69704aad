"""The networks that are simulated: their KMEs, which of them links join, and the SAEs at each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from keyhop.core.ids import KmeId, SaeId

type Wire = tuple[KmeId, KmeId]
"""Two KMEs, the lower name first."""


@dataclass(frozen=True)
class Sites:
    """One network. `links` are its QKD links; `home` tells the KME of each SAE."""

    name: str
    kmes: tuple[KmeId, ...]
    links: tuple[Wire, ...]
    home: dict[SaeId, KmeId]

    @cached_property
    def wires(self) -> tuple[Wire, ...]:
        """Every two KMEs: all are connected."""
        return tuple(combinations(self.kmes, 2))

    @property
    def relays(self) -> bool:
        """Whether there is anything over which keys could be relayed."""
        return len(self.kmes) > 2

    @property
    def saes(self) -> tuple[SaeId, ...]:
        """All SAEs."""
        return tuple(self.home)

    def at(self, kme: KmeId) -> tuple[SaeId, ...]:
        """The SAEs of one KME."""
        return tuple(sae for sae, home in self.home.items() if home == kme)

    def peers(self, kme: KmeId) -> tuple[KmeId, ...]:
        """All other KMEs."""
        return tuple(other for other in self.kmes if other != kme)

    def neighbours(self, kme: KmeId) -> tuple[KmeId, ...]:
        """Those that a link joins with this one."""
        return tuple(b if a == kme else a for a, b in self.links if kme in (a, b))

    def disjoint_paths(self, a: KmeId, b: KmeId) -> int:
        """How many paths of links between two KMEs share no node."""
        inner = sorted({frozenset(path) for path in self._paths((a,), b)}, key=sorted)
        most = len(inner)
        while not any(_apart(chosen) for chosen in combinations(inner, most)):
            most -= 1
        return most

    def _paths(self, begun: tuple[KmeId, ...], end: KmeId) -> Iterator[tuple[KmeId, ...]]:
        """The nodes between, of every path that goes on from here."""
        for node in self.neighbours(begun[-1]):
            if node == end:
                yield begun[1:]
            elif node not in begun:
                yield from self._paths((*begun, node), end)


def _apart(paths: tuple[frozenset[KmeId], ...]) -> bool:
    return all(one.isdisjoint(other) for one, other in combinations(paths, 2))


def _sites(name: str, links: str, saes_per_kme: int) -> Sites:
    joined = tuple((KmeId(a), KmeId(b)) for a, b in (link.split("-") for link in links.split()))
    kmes = tuple(sorted({kme for link in joined for kme in link}))
    home = {SaeId(f"{kme[0]}{i}"): kme for kme in kmes for i in range(1, saes_per_kme + 1)}
    return Sites(name, kmes, joined, home)


NETWORKS = {
    sites.name: sites
    for sites in (
        _sites("pair", "alice-bob", 3),
        _sites("line3", "alice-bob bob-carol", 2),
        _sites("triangle", "alice-bob alice-carol bob-carol", 2),
        _sites("line4", "alice-bob bob-carol carol-dave", 2),
        _sites("ring4", "alice-bob bob-carol carol-dave alice-dave", 2),
        _sites("theta5", "alice-bob alice-carol alice-dave bob-erin carol-erin dave-erin", 2),
    )
}
"""By name. In `theta5` three paths of two hops lead from alice to erin."""
