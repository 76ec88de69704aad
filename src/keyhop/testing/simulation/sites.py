"""The networks that are simulated: their KMEs, which of them links join, and the SAEs at each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations

from keyhop.core.ids import KmeId, SaeId

type Wire = tuple[KmeId, KmeId]
"""Two KMEs, the lower name first."""


@dataclass(frozen=True, eq=False)
class Sites:
    """One network. `links` are its QKD links; `home` tells the KME of each SAE.

    With a `joint`, these two KMEs are gateways that join two domains.
    """

    name: str
    kmes: tuple[KmeId, ...]
    links: tuple[Wire, ...]
    home: dict[SaeId, KmeId]
    joint: Wire | None = None

    @cached_property
    def pairs(self) -> tuple[Wire, ...]:
        """Every two KMEs."""
        return tuple(combinations(self.kmes, 2))

    @cached_property
    def wires(self) -> tuple[Wire, ...]:
        """Every two KMEs of a domain: all are connected."""
        return tuple((a, b) for a, b in self.pairs if b in self.domain(a))

    @property
    def relays(self) -> bool:
        """Whether there is anything over which keys could be relayed."""
        return any(len(self.domain(kme)) > 2 for kme in self.kmes)

    @property
    def saes(self) -> tuple[SaeId, ...]:
        """All SAEs."""
        return tuple(self.home)

    @cached_property
    def first_saes(self) -> frozenset[SaeId]:
        """The first SAE of each KME."""
        return frozenset(self.at(kme)[0] for kme in self.kmes)

    def at(self, kme: KmeId) -> tuple[SaeId, ...]:
        """The SAEs of one KME."""
        return tuple(sae for sae, home in self.home.items() if home == kme)

    def peers(self, kme: KmeId) -> tuple[KmeId, ...]:
        """All other KMEs of its domain."""
        return tuple(other for other in self.kmes if other != kme and other in self.domain(kme))

    @cache  # noqa: B019 - there are only those below
    def domain(self, kme: KmeId) -> frozenset[KmeId]:
        """The KMEs of one domain: links join them all, over others or at once."""
        found, front = {kme}, [kme]
        while front:
            further = set(self.neighbours(front.pop())) - found
            found |= further
            front += further
        return frozenset(found)

    def joined_to(self, kme: KmeId) -> KmeId | None:
        """The gateway of the other domain, of a KME that is one."""
        if self.joint is None or kme not in self.joint:
            return None
        a, b = self.joint
        return b if kme == a else a

    def is_foreign(self, kme: KmeId, sae: SaeId) -> bool:
        """Whether that SAE is of another domain than that KME."""
        return sae in self.home and self.home[sae] not in self.domain(kme)

    def home_as_seen_from(self, kme: KmeId) -> dict[SaeId, KmeId]:
        """The KME of each SAE: of those in the other domain, the gateway to it."""
        gateway = next((each for each in self.joint or () if each in self.domain(kme)), kme)
        return {sae: gateway if self.is_foreign(kme, sae) else home for sae, home in self.home.items()}

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


def _sites(name: str, links: str, saes_per_kme: int, joint: tuple[str, str] | None = None) -> Sites:
    joined = tuple((KmeId(a), KmeId(b)) for a, b in (link.split("-") for link in links.split()))
    kmes = tuple(sorted({kme for link in joined for kme in link}))
    home = {SaeId(f"{kme[0]}{i}"): kme for kme in kmes for i in range(1, saes_per_kme + 1)}
    return Sites(name, kmes, joined, home, (KmeId(joint[0]), KmeId(joint[1])) if joint else None)


NETWORKS = {
    sites.name: sites
    for sites in (
        _sites("pair", "alice-bob", 3),
        _sites("line3", "alice-bob bob-carol", 2),
        _sites("triangle", "alice-bob alice-carol bob-carol", 2),
        _sites("line4", "alice-bob bob-carol carol-dave", 2),
        _sites("ring4", "alice-bob bob-carol carol-dave alice-dave", 2),
        _sites("theta5", "alice-bob alice-carol alice-dave bob-erin carol-erin dave-erin", 2),
        _sites("joined", "alice-west bob-east", 2, ("east", "west")),
    )
}
"""By name. In `theta5` three paths of two hops lead from alice to erin; `joined` are two domains."""
