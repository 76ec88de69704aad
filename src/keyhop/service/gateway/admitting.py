"""Which keys of other domains are let in: as the policy of the pair has it, within the limits of the initiator."""

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import SaeId
from keyhop.service.crossing import Crossing
from keyhop.service.etsi020.problems import KEY_ROUTING_ERROR, Problem
from keyhop.service.etsi020.transfer import Saes, Transfer
from keyhop.service.limits import Charge, Limits
from keyhop.service.policy import PairPolicy, Policies


class Admitting:
    """At one gateway."""

    def __init__(self, policies: Policies, limits: Limits, crossing: Crossing) -> None:
        self._policies = policies
        self._limits = limits
        self._crossing = crossing

    def check(self, saes: Saes) -> dict[SaeId, PairPolicy]:
        """What holds for each target. Raises Problem where a key may not be shared."""
        found: dict[SaeId, PairPolicy] = {}
        for target in saes.targets:
            try:
                found[target] = self._policies.pair(saes.initiator, target)
                self._crossing.check_arrival(saes.initiator, target, found[target])
                self._crossing.check_departure(target, found[target], saes.targets)
            except KeyhopError as refusal:
                raise Problem(400, KEY_ROUTING_ERROR, reason=refusal.message, sae_id=target) from None
        return found

    def charge(self, transfer: Transfer) -> Charge | None:
        """As if the initiator asked for the keys here. Raises as `Limits.charge`."""
        size_bytes = sum(map(len, transfer.keys))
        initiator = transfer.saes.initiator
        return self._limits.charge(initiator, initiator, transfer.saes.targets, size_bytes)
