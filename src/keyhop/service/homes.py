"""SAEs by the KME that each of them is to be reached over."""

from collections.abc import Mapping

from keyhop.core.ids import KmeId, SaeId


def by_kme(homes: Mapping[SaeId, KmeId]) -> dict[KmeId, tuple[SaeId, ...]]:
    """The SAEs of each KME, in their order."""
    at: dict[KmeId, tuple[SaeId, ...]] = {}
    for sae, kme in homes.items():
        at[kme] = (*at.get(kme, ()), sae)
    return at
