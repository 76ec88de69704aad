"""The slaves of a request for records: where they are, and what holds for each of them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from keyhop.core.combiners import Combiner
from keyhop.core.errors import BadRequest, RequestError, Unauthorised
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.hybrid.combining import COMBINERS
from keyhop.service.crossing import Crossing
from keyhop.service.policy import PairPolicy, Policies
from keyhop.service.requests import GetKey
from keyhop.service.routes import UNMET, Routes

CHANGED = "what holds for these SAEs has changed since they asked"


class Slaves(NamedTuple):
    """`wait_s` is how long all of them together may be waited for. The first one's policy says what is left open.

    `changed` tells, once they have been waited for, whether something else holds for them by now (`Lists.changed`).
    `combiner` is how their keys are combined with an ML-KEM secret, since one of them has to be and leaves this KME.
    """

    homes: Mapping[SaeId, KmeId]
    policies: Mapping[SaeId, PairPolicy]
    wait_s: float
    changed: Callable[[], str | None]
    combiner: Combiner | None = None

    def size_bytes(self, size_bits: int | None) -> int:
        """The size of a key, which all policies have to allow. Raises BadRequest."""
        first, *others = self.policies.values()
        size = first.size_bytes(size_bits)
        for policy in others:
            policy.size_bytes(8 * size)
        return size

    def number(self, number: int | None) -> int:
        """How many keys, which all policies have to allow. Raises BadRequest."""
        first, *others = self.policies.values()
        count = first.number(number)
        for policy in others:
            policy.number(count)
        return count

    def check_source(self, source: str, otherwise: str) -> None:
        """Raises BadRequest when one of them may not have bytes that this has made."""
        for slave, policy in self.policies.items():
            if policy.sources is not None and source not in policy.sources:
                raise BadRequest(f"for SAE {slave} no key may be used that {otherwise}")


class Lists:
    """Makes them of their names."""

    def __init__(
        self,
        me: KmeId,
        home: Callable[[SaeId], KmeId | None],
        crossing: Crossing,
        policies: Policies,
        routes: Routes,
    ) -> None:
        self._me = me
        self._home = home
        self._crossing = crossing
        self._policies = policies
        self._routes = routes

    def homes(self, slaves: tuple[SaeId, ...]) -> dict[SaeId, KmeId]:
        """The KME of each. Raises BadRequest."""
        if len(set(slaves)) != len(slaves):
            raise BadRequest("a slave SAE is named twice")
        most = self._policies.policy.max_additional_slaves
        if len(slaves) - 1 > most:
            raise BadRequest(f"at most {most} additional slave SAEs can be named")
        return {slave: self.home(slave) for slave in slaves}

    def home(self, sae: SaeId) -> KmeId:
        """The KME of an SAE. Raises BadRequest."""
        home = self._home(sae)
        if home is None:
            raise BadRequest("SAE_ID is not known to this KME", details=({"SAE_ID": sae},))
        return home

    def of(self, master: SaeId, slaves: tuple[SaeId, ...], request: GetKey | None = None) -> Slaves:
        """With whom a master may share keys, and as it asks for them. Raises RequestError."""
        homes = self.homes(slaves)
        policies = {slave: self._policies.pair(master, slave) for slave in slaves}
        for slave, policy in policies.items():
            self._check_ways(slave, homes, policy)
        if request is not None:
            policies = self._as_asked(request, homes, policies)
        abroad = [policies[slave].abroad_wait_s for slave in slaves if self._crossing.foreign(slave)]
        wait_s = min(abroad or [policy.wait_s for policy in policies.values()])
        changed = partial(self.changed, master, homes, policies, request)
        return Slaves(homes, policies, wait_s, changed, self._combiner(homes, policies))

    def changed(
        self,
        master: SaeId,
        homes: Mapping[SaeId, KmeId],
        policies: Mapping[SaeId, PairPolicy],
        request: GetKey | None,
    ) -> str | None:
        """What to tell who has waited, if this does not hold for them any more: a reload may have come between."""
        try:
            now = {slave: self._policies.pair(master, slave) for slave in homes}
        except RequestError:
            return CHANGED
        if request is not None:
            now = {slave: policy.as_asked(request) for slave, policy in now.items()}
        moved = any(self._home(slave) != home for slave, home in homes.items())
        return CHANGED if moved or now != policies else None

    def _as_asked(
        self, request: GetKey, homes: Mapping[SaeId, KmeId], policies: Mapping[SaeId, PairPolicy]
    ) -> dict[SaeId, PairPolicy]:
        """Raises BadRequest for what it insists on and no key for all of them can be."""
        asked = {slave: policy.as_asked(request) for slave, policy in policies.items()}
        try:
            for slave, policy in asked.items():
                if policy is not policies[slave]:
                    self._check_ways(slave, homes, policy)
        except Unauthorised:
            raise BadRequest(UNMET) from None
        return asked

    def _combiner(self, homes: Mapping[SaeId, KmeId], policies: Mapping[SaeId, PairPolicy]) -> Combiner | None:
        """All get the same key, so one that has to be combined is so for all; none that stays at this KME is."""
        wanted = {policy.hybrid: slave for slave, policy in policies.items() if policy.hybrid != "none"}
        foreign = next(filter(self._crossing.foreign, homes), None)
        if not wanted or (foreign is None and set(homes.values()) == {self._me}):
            return None
        if foreign is not None:
            raise BadRequest(
                f"for SAE {next(iter(wanted.values()))} keys are combined with ML-KEM, and those for SAE {foreign} of "
                "another domain cannot be"
            )
        if len(wanted) > 1:
            slaves = " and ".join(wanted.values())
            raise BadRequest(f"for SAEs {slaves} keys are combined with ML-KEM in different ways")
        return COMBINERS[next(iter(wanted))]

    def _check_ways(self, slave: SaeId, homes: Mapping[SaeId, KmeId], policy: PairPolicy) -> None:
        """All get the same key, so what one may not have goes to none of the others either."""
        self._crossing.check_departure(slave, policy, homes)
        for other in (slave, *homes):
            home = homes[other]
            if policy.direct_only and home != self._me and not self._routes.by_link(home):
                where = "it" if other == slave else f"SAE {other}"
                raise Unauthorised(f"for SAE {slave} only keys of a link may be used, and none leads to {where}")
