"""What an operator sets for a KME, and may change while it runs; and the domains of other KMSs around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.priority import MAX_PRIORITY
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.leasing.shares import Pairs
from keyhop.network.pair import PairOptions
from keyhop.network.relay.pads import Standing
from keyhop.network.relay.parcels import Flow
from keyhop.service.etsi020.calls import Call
from keyhop.service.gateway import Joint
from keyhop.service.meters import Limit
from keyhop.service.policy import Policy


@dataclass(frozen=True, slots=True)
class KmeOptions:
    """What an operator may change while the KME runs."""

    policy: Policy
    pairs: PairOptions
    limits: tuple[Limit, ...] = ()
    sae_pairs: Mapping[KmeId, Pairs] = field(default_factory=dict)
    """Which masters here and slaves at each peer may share keys (`policy.sae_pairs`)."""
    terms: Terms = field(default_factory=Terms)
    """How keys may be relayed."""
    stream_terms: Mapping[KmeId, Terms] = field(default_factory=dict)
    """How the stream to a KME is, where pairs of SAEs want more (`policy.stream_terms`)."""
    feeder: FeederOptions = field(default_factory=FeederOptions)
    saes: Mapping[KmeId, int] = field(default_factory=dict)
    """How many SAEs each KME serves."""
    most_priorities: Mapping[KmeId, int] = field(default_factory=dict)
    """The highest that what other KMEs send over this one has here; without an entry it has what its source says."""
    link_priorities: Mapping[KmeId, int] = field(default_factory=dict)
    """Of the links to neighbours (`topology.reports`)."""


def _no_call(kms: KmeId, call: Call) -> None:
    call.answered(None)


@dataclass(frozen=True, slots=True)
class OtherDomains:
    """The domains of other KMSs: those that this very KME is joined to, and which SAEs are `foreign`, wherever joined.

    `make` makes a call to one of those KMSs. `per_domain` tells of a foreign SAE what `crossing` needs to know.
    """

    joints: tuple[Joint, ...] = ()
    foreign: Callable[[SaeId], bool] = lambda sae: False
    make: Callable[[KmeId, Call], None] = _no_call
    per_domain: Callable[[SaeId], bool] = lambda sae: False


class Settings:
    """What holds now, for the parts of the KME that ask each time."""

    def __init__(self, now: KmeOptions) -> None:
        self.now = now

    def key_lifetime_s(self) -> float:
        """How long keys are kept."""
        return self.now.pairs.key_lifetime_s

    def terms(self, destination: KmeId) -> Terms:
        """How keys are relayed as usual."""
        return self.now.terms

    def stream_terms(self, destination: KmeId) -> Terms:
        """How the stream to a KME is."""
        return self.now.stream_terms.get(destination, self.now.terms)

    def standing(self, flow: Flow) -> Standing:
        """No priority above its source's highest; a weight by the pairs of SAEs whose keys it carries."""
        saes = self.now.saes
        most = self.now.most_priorities.get(flow.source, MAX_PRIORITY)
        weight = max(1.0, float(saes.get(flow.source, 0) * saes.get(flow.destination, 0)))
        return Standing(min(flow.priority, most), weight)
