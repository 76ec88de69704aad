"""Which pairs of SAEs there are: those for which something of a stream's stock is reserved."""

from collections.abc import Mapping
from dataclasses import dataclass

from keyhop.core.ids import KmeId, SaeId, SaePair
from keyhop.service.policy.policies import Policy
from keyhop.service.policy.rules import Allow, SaeClasses


@dataclass(frozen=True, slots=True)
class SaePairs:
    """Pairs of a master and a slave that may share keys: of each `allow` rule its masters and its slaves."""

    allowed: tuple[tuple[frozenset[SaeId], frozenset[SaeId]], ...]

    def __len__(self) -> int:
        masters = frozenset().union(*(masters for masters, _ in self.allowed))
        return sum(len(self._slaves_of(master)) for master in masters)

    def __contains__(self, pair: SaePair) -> bool:
        master, slave = pair
        return any(master in masters and slave in slaves for masters, slaves in self.allowed)

    def _slaves_of(self, master: SaeId) -> frozenset[SaeId]:
        return frozenset().union(*(slaves for masters, slaves in self.allowed if master in masters))


def sae_pairs(policy: Policy, homes: Mapping[SaeId, KmeId], me: KmeId) -> dict[KmeId, SaePairs]:
    """The pairs of a master at `me` and a slave there that may share keys, for each other KME."""
    saes: dict[KmeId, set[SaeId]] = {}
    for sae, home in homes.items():
        saes.setdefault(home, set()).add(sae)
    classes, masters = SaeClasses(policy.classes), frozenset(saes.pop(me, ()))

    def meant(name: str, among: frozenset[SaeId]) -> frozenset[SaeId]:
        return frozenset(sae for sae in among if classes.means(name, sae))

    def pairs(slaves: frozenset[SaeId]) -> SaePairs:
        rules = policy.allow or (Allow(),)
        return SaePairs(tuple((meant(rule.master, masters), meant(rule.slave, slaves)) for rule in rules))

    return {kme: pairs(frozenset(slaves)) for kme, slaves in saes.items()}
