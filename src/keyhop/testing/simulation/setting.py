"""What a run begins with."""

from dataclasses import dataclass, field
from typing import Literal

from keyhop.core.ids import KmeId
from keyhop.network.feeder.options import Buffering, FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.pair import PairOptions
from keyhop.service.kme_options import KmeOptions
from keyhop.service.policy import PairPolicy, Policy, Rule, sae_pairs
from keyhop.testing.simulation.crossing import Manners
from keyhop.testing.simulation.sites import Sites

LIFETIME_S = 40.0
LEAST_RELAYED_BYTES = 1024

DiskKind = Literal["fast", "sqlite"]


@dataclass(frozen=True, slots=True)
class Setting:
    """The seed also draws everything that no setting says: delays, losses, bytes."""

    seed: int = 0
    network: str = "pair"
    disk: DiskKind = "fast"
    tick_s: float = 0.5
    witness: bool = False
    """Whether each KME has a witness outside its store, so that any of them, and all, may be restored at once."""
    redelivery_s: float = 0.0
    reserved_bytes_per_pair: int = 0
    terms: Terms = field(default_factory=Terms)
    """How keys are relayed."""
    buffering: Buffering = "prefetch"
    rules: tuple[Rule, ...] = ()
    """What single pairs of SAEs want: hybrid keys, or expanded ones while there are no others."""
    psk_refresh_s: float | None = None
    """How often the keys are refreshed that authenticate KMEs to each other; None where certificates do."""
    manners: Manners = field(default_factory=Manners)
    """How gateways speak with each other, where there are any."""


def options_of(setting: Setting, sites: Sites, name: KmeId) -> KmeOptions:
    """How one KME of the network is configured."""
    usual = PairPolicy(wait_s=1.0, max_keys_per_request=64, abroad_wait_s=6.0)
    policy = Policy(usual, redelivery_s=setting.redelivery_s, rules=setting.rules)
    pairs = PairOptions(
        stock_bytes=64 << 10,
        key_lifetime_s=LIFETIME_S,
        reserved_bytes_per_pair=setting.reserved_bytes_per_pair,
        hybrid=policy.has_hybrid,
        expand=policy.has_expand,
    )
    homes = {sae: home for sae, home in sites.home.items() if not sites.is_foreign(name, sae)}
    pairs_of_saes = sae_pairs(policy, homes, name)
    feeder = FeederOptions(setting.buffering, LEAST_RELAYED_BYTES)
    return KmeOptions(policy, pairs, sae_pairs=pairs_of_saes, terms=setting.terms, feeder=feeder)
