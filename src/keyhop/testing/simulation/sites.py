"""The networks that are simulated: their KMEs, who is whose neighbour, and the SAEs at each."""

from dataclasses import dataclass

from keyhop.core.ids import KmeId, SaeId


@dataclass(frozen=True)
class Sites:
    """One network. `wires` are pairs of neighbours, the lower name first; `home` tells the KME of each SAE."""

    name: str
    kmes: tuple[KmeId, ...]
    wires: tuple[tuple[KmeId, KmeId], ...]
    home: dict[SaeId, KmeId]

    @property
    def saes(self) -> tuple[SaeId, ...]:
        """All SAEs."""
        return tuple(self.home)

    def at(self, kme: KmeId) -> tuple[SaeId, ...]:
        """The SAEs of one KME."""
        return tuple(sae for sae, home in self.home.items() if home == kme)

    def neighbours(self, kme: KmeId) -> tuple[KmeId, ...]:
        """The KMEs that share streams with one."""
        return tuple(b if a == kme else a for a, b in self.wires if kme in (a, b))


def _sites(name: str, wires: str, saes_per_kme: int) -> Sites:
    pairs = tuple((KmeId(a), KmeId(b)) for a, b in (wire.split("-") for wire in wires.split()))
    kmes = tuple(sorted({kme for pair in pairs for kme in pair}))
    home = {SaeId(f"{kme[0]}{i}"): kme for kme in kmes for i in range(1, saes_per_kme + 1)}
    return Sites(name, kmes, pairs, home)


NETWORKS = {
    sites.name: sites
    for sites in (
        _sites("pair", "alice-bob", 3),
        _sites("line3", "alice-bob bob-carol", 2),
        _sites("triangle", "alice-bob alice-carol bob-carol", 2),
        _sites("line4", "alice-bob bob-carol carol-dave", 2),
    )
}
"""By name."""
