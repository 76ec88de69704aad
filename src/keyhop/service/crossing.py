"""What a pair's policy asks for and two domains cannot promise each other.

The gateways of both domains know each key, and nobody here sees what happens beyond them. So whoever may only have keys
of a link, or such as no single node knows, has none with an SAE of another domain; unless the operator says of that
domain that it is enough when this holds in each domain by itself, up to its gateway (`per_domain`).
"""

from collections.abc import Callable, Iterable

from keyhop.core.errors import Unauthorised
from keyhop.core.ids import SaeId
from keyhop.service.policy import PairPolicy
from keyhop.service.requests import FOREIGN_SOURCE

_UNLESS = "unless per_domain is set for it"


class Crossing:
    """As one KME sees it. `foreign` tells which SAEs are of other domains, `per_domain` what is said of theirs."""

    def __init__(self, foreign: Callable[[SaeId], bool], per_domain: Callable[[SaeId], bool]) -> None:
        self.foreign = foreign
        self._per_domain = per_domain

    def obstacle(self, sae: SaeId, policy: PairPolicy) -> str | None:
        """Why a pair of which that SAE is in another domain gets no key; None when it may, or when neither is."""
        if not self.foreign(sae) or self._per_domain(sae):
            return None
        if policy.direct_only:
            return f"only keys of a link may be used, and no link leads into another domain, {_UNLESS}"
        if policy.relaying is not None and policy.relaying.needed > 1:
            what = f"keys have to come over {policy.min_disjoint_paths} paths that share no node"
            return f"{what}, and a gateway is on all of them, {_UNLESS}"
        return None

    def check_departure(self, slave: SaeId, policy: PairPolicy, slaves: Iterable[SaeId]) -> None:
        """Of a key that all of these slaves get, and one of them by this policy. Raises Unauthorised."""
        for other in slaves:
            reason = self.obstacle(other, policy)
            if reason is not None:
                raise Unauthorised(f"for SAE {slave} {reason}")

    def check_arrival(self, master: SaeId, slave: SaeId, policy: PairPolicy) -> None:
        """Of a key that is made in another domain. Raises Unauthorised."""
        if not self.foreign(master):
            return
        reason = self.obstacle(master, policy) or self.obstacle(slave, policy)
        if policy.hybrid != "none":
            reason = "keys have to be combined with ML-KEM, and those of another domain are not"
        elif policy.sources is not None and FOREIGN_SOURCE not in policy.sources:
            reason = f"the sources of keys do not include {FOREIGN_SOURCE}"
        if reason is not None:
            raise Unauthorised(f"for SAE {slave} {reason}")
